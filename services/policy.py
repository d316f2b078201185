"""The numbers that a business chooses, in one place, each with its unit; settings may override them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Version 1 of the house rules."""

    version: str = "2026-1"
    answer_within_s: int = 300
    answer_before_start_s: int = 900
    match_ttl_s: int = 900
    depart_before_s: int = 4 * 3600
    travel_buffer_s: int = 900
    no_show_wait_s: int = 600
    alert_unanswered_after_bp: int = 5000  # of the time to answer
    alert_not_departed_s: int = 0  # after the start of the visit
    alert_not_arrived_s: int = 300
    alert_credential_days: int = 30
    verify_only_after_s: int = 6 * 86400
    near_m: float = 500.0
    near_eta_s: float = 180.0
    commission_bp: int = 2000
    payout_after_s: int = 3 * 86400  # the dispute window: what is newer stays in the house
    share_after_end_s: int = 0
    exact_within_s: int = 1200
    hide_positions: bool = False
    presence_ttl_s: float = 30.0
    presence_grace_s: float = 15.0
    fresh_within_s: float = 20.0
    lost_after_s: float = 90.0
    on_time_within_s: int = 300  # reports: before or after the promised start
    raw_fix_retention_h: int = 72
    outbox_kept_d: int = 7  # what happened stays in booking_events; a client away for longer starts over
    job_log_kept_d: int = 7  # the library's own lines; our record of runs is a story's
    deadlines_kept_d: int = 30  # of those that fired
    dead_letters_kept_d: int = 90  # of those that were replayed well
    webhook_deliveries_kept_d: int = 30  # with every attempt: what the founder looks at
    stories_kept_d: int = 400  # requests and jobs: a year's chargebacks and complaints, and a month to look
    late_fixes_for_s: int = 86400
    access_token_ttl_s: int = 900
    refresh_token_ttl_s: int = 30 * 86400
    refresh_grace_s: int = 30
