/** What a visit's page says in its largest letters, and the line below: one pair for every state. */
import type { Booking } from "../api/types.ts";
import { etaClock, etaRange, type ArrivalState } from "../live/arrival_view.ts";
import { countdown, dayAndTime, distance, money, time } from "../text/format.ts";
import { STATE, paymentWords } from "../text/words.ts";

type Words = [headline: string, sub: string];

const ENDED: Record<string, string> = {
  declined: "They cannot come. Nothing was charged; others can.",
  expired: "There was no answer in time. Nothing was charged; others can come.",
  cancelled: "This visit was cancelled.",
  no_show: "Nobody opened the door.",
};

export function visitWords(booking: Booking, arrival: ArrivalState): Words {
  const first = booking.technician?.display_name.split(" ")[0] ?? "Your technician";
  switch (booking.state) {
    case "requested": {
      const left = booking.deadline_at ? countdown(Date.parse(booking.deadline_at) - Date.now()) : "";
      return [
        `Asking ${booking.technician ? first : "around"}`,
        left ? `An answer comes within ${left}` : "Waiting for an answer",
      ];
    }
    case "accepted":
      return [
        `${first} is coming`,
        `${dayAndTime(booking.starts_at)}. You can follow the way here from the moment they set off.`,
      ];
    case "en_route":
      return onTheWay(first, arrival);
    case "arrived":
      return ["At the door", `${first} is there${waitWords(booking)}. The position is no longer shared.`];
    case "in_service":
      return [
        "At work",
        booking.expected_end_at ? endWords(booking.expected_end_at) : `${first} has begun.`,
      ];
    case "completed":
      return [
        "Done",
        booking.price
          ? [money(booking.price.total), booking.payment ? paymentWords(booking.payment.status) : ""].filter(Boolean).join(" · ")
          : "",
      ];
    default:
      return [STATE[booking.state], ENDED[booking.state] ?? ""];
  }
}

function endWords(expected: string): string {
  const until = `about ${time(expected)}`;
  return Date.parse(expected) > Date.now() ? `Until ${until}` : `Takes longer than expected (${until})`;
}

/** How long they wait for the door to open; after that they may leave. */
function waitWords({ deadline_at }: Booking): string {
  if (!deadline_at) return "";
  return Date.parse(deadline_at) > Date.now() ? ` and waits until ${time(deadline_at)}` : " and has waited: please open";
}

function onTheWay(first: string, { eta, position, phase }: ArrivalState): Words {
  const range = etaRange(eta);
  const at = etaClock(eta);
  const parts = [at ? `${first} arrives ${at}` : `${first} is on the way`];
  if (position?.remaining_m) parts.push(`${distance(position.remaining_m)} away`);
  return [range ?? (phase === "near" ? "Almost there" : "On the way"), parts.join(" · ")];
}
