"""The jurisdictions of the demo and their rules, each with its source and the day as of which it was read.

A demonstration, not advice: renewal periods follow stored copies of the named pages, tax rates are rounded examples.
Where a state leaves a trade to its cities (New York and electricians) it has no set, so that its cities must speak.
"""

from datetime import date

from domain.credentials import Jurisdiction, Level, Requirement

AS_OF = date(2026, 11, 1)

PUBLIC = ("number", "issued_on", "expires_on", "verified_on", "verified_how", "next_check_on")
MASKED = ("number_last4", "expires_on", "verified_on", "verified_how", "next_check_on")
DATES_ONLY = ("expires_on", "verified_on", "verified_how")

MD_LABOR = "https://www.dllr.state.md.us/pq/"
TDLR = "https://www.tdlr.texas.gov/LicenseSearch/"
CA_DCA = "https://search.dca.ca.gov/"
CSLB = "https://www.cslb.ca.gov/OnlineServices/CheckLicenseII/CheckLicense.aspx"
NYC_DOB = "https://a810-bisweb.nyc.gov/bisweb/LicenseTypeServlet"
NY_DOS = "https://appext20.dos.ny.gov/lcns_public/chk_load"

JURISDICTIONS: tuple[Jurisdiction, ...] = (
    Jurisdiction("US", None, "United States", "federal", "USD", 0,
                 "US Environmental Protection Agency, epa.gov/section608"),
    Jurisdiction("US-MD", "US", "Maryland", "state", "USD", 600,
                 "Maryland Department of Labor, Occupational and Professional Licensing, labor.maryland.gov/license"),
    Jurisdiction("US-TX", "US", "Texas", "state", "USD", 625,
                 "Texas Department of Licensing and Regulation, tdlr.texas.gov/complaints"),
    Jurisdiction("US-CA", "US", "California", "state", "USD", 725,
                 "California Department of Consumer Affairs, dca.ca.gov/consumers/complaints"),
    Jurisdiction("US-NY", "US", "New York", "state", "USD", 400,
                 "New York Department of State, Division of Licensing Services, dos.ny.gov/licensing"),
    Jurisdiction("US-NY-NYC", "US-NY", "New York City", "city", "USD", 450,
                 "New York City Department of Buildings, nyc.gov/buildings or 311"),
)  # fmt: skip


def _rule(  # noqa: PLR0913, PLR0917 - a rule has this many parts
    credential_type: str, title: str, level: Level, board: str, lookup: str | None, source: str,
    show: tuple[str, ...], years: int | None, notice: str | None = None,
) -> Requirement:  # fmt: skip
    return Requirement(credential_type, required=True, level=level, issuing_board=board, lookup_url=lookup,
                       source=source, as_of=AS_OF, show=show, title=title, renewal_years=years,
                       notice=notice)  # fmt: skip


EPA_608 = _rule(
    "epa_608", "EPA Section 608 technician certification", "federal", "EPA-approved certifying organizations", None,
    "epa.gov/section608/section-608-technician-certification", DATES_ONLY, None,
    "Needed by whoever opens a refrigerant circuit. It does not expire.",
)  # fmt: skip

_MD = "Maryland Board of Cosmetologists"
_MD_BEAUTY = "labor.maryland.gov/license/cos (renewal every two years)"
_TX = "Texas Department of Licensing and Regulation"
_TX_REMOTE = (
    "16 Tex. Admin. Code 83.77; "
    "legalclarity.org/how-long-do-practitioner-and-establishment-licenses-last-in-texas"
)
_TX_ALLOWED = (
    "At home only what 16 TAC 83.77 lists: {what}. You are told before the visit who comes, under which licence, and "
    "how to complain."
)
_CA = "California Board of Barbering and Cosmetology"
_CA_RENEWAL = "legalclarity.org/how-to-renew-your-california-barbering-cosmetology-license"
_CA_PSP = "Cal. Code Regs. tit. 16, § 965.2"
_NY = "New York Department of State Division of Licensing Services"
_NY_FEES = "dos.ny.gov/licensing/fees_terms.html"


def _md_beauty(credential_type: str, title: str) -> tuple[Requirement, ...]:
    return (_rule(credential_type, title, "state", _MD, MD_LABOR, _MD_BEAUTY, PUBLIC, 2),)


def _tx_beauty(credential_type: str, title: str, what: str) -> tuple[Requirement, ...]:
    notice = _TX_ALLOWED.format(what=what)
    return (_rule(credential_type, title, "state", _TX, TDLR, _TX_REMOTE, PUBLIC, 2, notice),)


def _ca_beauty(credential_type: str, title: str) -> tuple[Requirement, ...]:
    return (
        _rule(credential_type, title, "state", _CA, CA_DCA, _CA_RENEWAL, PUBLIC, 2),
        _rule("personal_service_permit", "Personal Service Permit", "state", _CA, CA_DCA, _CA_PSP, PUBLIC, 2,
              "For work outside a licensed establishment; its holder was licensed for at least two years."),
        _rule("liability_insurance", "Liability insurance of at least $1,000,000", "state", _CA, None, _CA_PSP,
              DATES_ONLY, 1, "The permit's holder keeps it and shows proof on demand."),
    )  # fmt: skip


def _ny_beauty(credential_type: str, title: str) -> tuple[Requirement, ...]:
    return (_rule(credential_type, title, "state", _NY, NY_DOS, _NY_FEES, MASKED, 4),)


RULES: dict[tuple[str, str], tuple[Requirement, ...]] = {
    ("US", "hvac_repair"): (EPA_608,),
    ("US-MD", "haircut"): _md_beauty("cosmetologist_license", "Cosmetologist licence"),
    ("US-MD", "manicure"): _md_beauty("nail_technician_license", "Nail technician licence"),
    ("US-MD", "facial"): _md_beauty("esthetician_license", "Esthetician licence"),
    ("US-MD", "massage"): (
        _rule("massage_therapist_license", "Massage therapist licence", "state",
              "Maryland Board of Massage Therapy Examiners", "https://health.maryland.gov/massage/",
              "COMAR 10.65.01.08 (valid for at most two years)", PUBLIC, 2),
    ),
    ("US-MD", "hvac_repair"): (
        _rule("hvacr_license", "HVACR licence", "state",
              "Maryland Board of Heating, Ventilation, Air-Conditioning and Refrigeration Contractors", MD_LABOR,
              "Md. Code, Business Regulation 9A", PUBLIC, 2),
    ),
    ("US-MD", "electrical"): (
        _rule("electrician_license", "Master electrician licence", "state", "Maryland Board of Master Electricians",
              MD_LABOR, "dllr.maryland.gov/license/elec/elecrenew.shtml", PUBLIC, 2),
    ),
    ("US-MD", "plumbing"): (
        _rule("plumber_license", "Plumber licence", "state", "Maryland State Board of Plumbing", MD_LABOR,
              "Md. Code, Business Occupations and Professions 12", PUBLIC, 2),
    ),
    ("US-MD", "furniture_assembly"): (),
    ("US-TX", "haircut"): _tx_beauty("cosmetologist_license", "Cosmetology operator licence",
                                     "haircutting and styling, no colouring or chemicals"),
    ("US-TX", "manicure"): _tx_beauty("nail_technician_license", "Manicurist licence",
                                      "polish-change manicures and pedicures without a whirlpool basin"),
    ("US-TX", "facial"): _tx_beauty("esthetician_license", "Esthetician licence",
                                    "beautifying face, neck or arms with lotions and creams"),
    ("US-TX", "massage"): (
        _rule("massage_therapist_license", "Massage therapist licence", "state", _TX, TDLR,
              "Tex. Occupations Code 455", PUBLIC, 2),
    ),
    ("US-TX", "hvac_repair"): (
        _rule("hvacr_license", "Air conditioning and refrigeration licence", "state", _TX, TDLR,
              "tradesmance.com/hvac-continuing-education", PUBLIC, 1),
    ),
    ("US-TX", "electrical"): (
        _rule("electrician_license", "Electrician licence", "state", _TX, TDLR,
              "Occupations Code 1305.167, texastradeseducation.com/samplecourse.aspx", PUBLIC, 1),
    ),
    ("US-TX", "plumbing"): (
        _rule("plumber_license", "Plumber licence", "state", "Texas State Board of Plumbing Examiners",
              "https://tsbpe.texas.gov/license-look-up/", "Tex. Occupations Code 1301", PUBLIC, 1),
    ),
    ("US-TX", "furniture_assembly"): (),
    ("US-CA", "haircut"): _ca_beauty("cosmetologist_license", "Cosmetologist licence"),
    ("US-CA", "manicure"): _ca_beauty("nail_technician_license", "Manicurist licence"),
    ("US-CA", "facial"): _ca_beauty("esthetician_license", "Esthetician licence"),
    ("US-CA", "hvac_repair"): (
        _rule("hvacr_license", "C-20 contractor licence", "state", "Contractors State License Board", CSLB,
              "cslb.ca.gov (C-20)", PUBLIC, 2),
    ),
    ("US-CA", "electrical"): (
        _rule("electrician_license", "Electrician certification", "state",
              "California Department of Industrial Relations", "https://www.dir.ca.gov/databases/dlselectr/eleclist.html",
              "getlicensemap.com/blog/electrician-license-renewal-requirements", MASKED, 3),
    ),
    ("US-CA", "plumbing"): (
        _rule("plumber_license", "C-36 contractor licence", "state", "Contractors State License Board", CSLB,
              "cslb.ca.gov (C-36)", PUBLIC, 2),
    ),
    ("US-CA", "furniture_assembly"): (),
    ("US-NY", "haircut"): _ny_beauty("cosmetologist_license", "Cosmetology licence"),
    ("US-NY", "manicure"): _ny_beauty("nail_technician_license", "Nail specialty licence"),
    ("US-NY", "facial"): _ny_beauty("esthetician_license", "Esthetics licence"),
    ("US-NY", "furniture_assembly"): (),
    ("US-NY-NYC", "electrical"): (
        _rule("electrician_license", "Master electrician licence", "city", "New York City Department of Buildings",
              NYC_DOB, "nyc.gov/buildings (licensed by the city)",
              PUBLIC, 1),
    ),
    ("US-NY-NYC", "plumbing"): (
        _rule("plumber_license", "Master plumber licence", "city", "New York City Department of Buildings",
              NYC_DOB, "nyc.gov/buildings (licensed by the city)",
              PUBLIC, 1),
    ),
}  # fmt: skip

# The type that each service asks of a technician's own state; heating also asks the federal certificate.
LICENCE_OF: dict[str, str] = {
    "haircut": "cosmetologist_license",
    "manicure": "nail_technician_license",
    "facial": "esthetician_license",
    "massage": "massage_therapist_license",
    "hvac_repair": "hvacr_license",
    "electrical": "electrician_license",
    "plumbing": "plumber_license",
}
