"""The main job on real input, through the HTTP API alone: a company signs up, its people, customers, products and orders come
in, a request from a web form becomes a lead, contact and deal, the deal is won, and the reports show it live.

Every write carries an idempotency key that follows from the job's name and the step, and is repeated until it is answered: what
breaks in between changes nothing in the end. Tests hang faults on `before`, which is called with each step's name."""

import datetime
import hashlib
import time
import zoneinfo
from decimal import ROUND_HALF_EVEN, Decimal

from crmlib import console
from crmlib.api import Answer, Api, ApiError, Events, Unreachable
from crmlib.dataset import Dataset

ZONE = "America/New_York"
CURRENCY = "USD"
PASSWORD = "a long demo password"
BATCH = 100  # records per request: each answers well within its deadline
LIVE_SECONDS = 2.0
PASSING = {429, 500, 502, 503, 504}  # worth repeating with the same key


def today() -> datetime.date:
    """The day where the company is. Elsewhere it may be tomorrow already, and what is won tomorrow is in no report."""
    return datetime.datetime.now(zoneinfo.ZoneInfo(ZONE)).date()


class Patient:
    """A caller that repeats what was not answered, under the same key, until `seconds` have passed; signs in again when its token
    has ended. Twice the longest lease (what a killed worker had claimed is nobody else's for 30 s), and room."""

    def __init__(self, url: str, job: str, seconds: float = 150):
        self.api, self.job, self.seconds = Api(url, timeout=15), job, seconds
        self.login = ""
        self.repeats = 0

    def key(self, step: str) -> str:
        return hashlib.sha256(f"{self.job}/{step}".encode()).hexdigest()[:32]

    def sign_in(self, login: str) -> None:
        self.login = login
        session = self.post("/v1/sessions", {"login": login, "password": PASSWORD}, step="")
        self.api.token = session["access_token"]

    def answer(self, method: str, path: str, body=None, step: str | None = None, query: dict | None = None) -> Answer:
        """`step` names the write; reads have none, and "" is a write that makes something new each time (a session)."""
        headers = {"Idempotency-Key": self.key(step)} if step else {}
        deadline = time.monotonic() + self.seconds
        renewed = False
        while True:
            answer = None
            try:
                answer = self.api.call(method, path, body, headers, query)
                if answer.status == 401 and self.login and not renewed and path != "/v1/sessions":
                    renewed = True
                    self.sign_in(self.login)
                    continue
                if answer.status not in PASSING and answer.reason != "CONFLICT":
                    return answer
            except Unreachable:
                pass
            if time.monotonic() > deadline:
                if answer is not None:
                    return answer
                raise console.Failure(f"{method} {path} was not answered within {self.seconds:.0f} s", "see tools/crm status and tools/crm logs")
            self.repeats += 1
            time.sleep(0.1)

    def must(self, method: str, path: str, body=None, step: str | None = None, query: dict | None = None):
        answer = self.answer(method, path, body, step, query)
        if not answer.ok:
            raise ApiError(method, path, answer)
        return answer.body

    def get(self, path: str, **query):
        return self.must("GET", path, query=query)

    def post(self, path: str, body, step: str):
        return self.must("POST", path, body, step)

    def patch(self, path: str, body, step: str):
        return self.must("PATCH", path, body, step)

    def until(self, read, wanted, what: str):
        """Reads again until it is as wanted: for what other services hear a moment later."""
        deadline = time.monotonic() + self.seconds
        while True:
            value = read()
            if wanted(value):
                return value
            if time.monotonic() > deadline:
                raise console.Failure(f"{what}: not within {self.seconds:.0f} s, it is {value}", "see tools/crm logs; the event's way is outbox, relay, stream, consumer")
            time.sleep(0.05)


class FirstJob:
    def __init__(self, url: str, data: Dataset, name: str, before=lambda step: None, say=console.say):
        self.data, self.name, self.before, self.say = data, name, before, say
        self.crm = Patient(url, name)
        self.url = url
        self.zone = zoneinfo.ZoneInfo(ZONE)
        self.login = f"owner@{name}.example.com"
        self.users: dict[str, str] = {}      # employee_id -> user
        self.team_of: dict[str, str] = {}    # employee_id -> team
        self.companies: dict[str, str] = {}  # "customer/ALFKI" -> company
        self.products: dict[str, str] = {}   # product_id -> product
        self.unparsed: list[str] = []        # phones kept as given, with their company
        self.facts: dict = {}                # what a test looks at

    def steps(self) -> list:
        return [self.sign_up, self.bring_people, self.bring_companies, self.bring_contacts, self.bring_products, self.bring_orders,
                self.check_import, self.make_form, self.post_form, self.accept_lead, self.win_deal, self.check_reports]

    def run(self) -> dict:
        for step in self.steps():
            self.before(step.__name__)
            start = time.monotonic()
            text = step()
            self.say(f"  {text} ({time.monotonic() - start:.1f} s)")
        self.facts["repeats"] = self.crm.repeats
        self.crm.api.close()
        return self.facts

    # Steps: each answers the sentence that is printed.
    def sign_up(self) -> str:
        answer = self.crm.post("/v1/tenants:signUp", {
            "company_name": f"{self.data.name.title()} Traders", "email": self.login, "password": PASSWORD, "given_name": "Olivia", "family_name": "Owner",
            "country_code": "US", "time_zone": ZONE, "currency_code": CURRENCY, "package": "b2b_sales"}, step="sign-up")
        self.crm.login, self.crm.api.token = self.login, answer["session"]["access_token"]
        self.facts["tenant_id"], self.facts["login"] = answer["tenant"]["id"], self.login
        self.roles = {role["code"]: role["id"] for role in self.crm.get("/v1/roles")["roles"]}
        [self.pipeline] = self.crm.until(lambda: self.crm.get("/v1/pipelines")["pipelines"], bool, "the package's pipeline")
        self.stages = {stage["name"]: stage for stage in self.pipeline["stages"]}
        self.facts["pipeline_id"] = self.pipeline["id"]
        days = len({hours["weekday"] for hours in answer["tenant"]["working_hours"]})
        return (f"signed up {answer['tenant']['name']} with the B2B sales package: pipeline {' > '.join(self.stages)}, "
                f"{len(self.roles)} roles, {days} working days a week")

    def bring_people(self) -> str:
        """Managers lead a team of those who report to them; they are in their own manager's team themselves."""
        heads = {row["reports_to"] for row in self.data.employees if row["reports_to"]}
        for row in self.data.employees:
            number = row["employee_id"]
            user = self.crm.post("/v1/users", {
                "email": f"employee{number}@{self.name}.example.com", "given_name": row["first_name"], "family_name": row["last_name"],
                "job_title": row["title"], "phone": row["home_phone"], "password": PASSWORD,
                "role_ids": [self.roles["head" if number in heads else "manager"]],
                "external_ids": [{"system": self.data.name.lower(), "id": number}]}, step=f"user/{number}")
            self.users[number] = user["id"]
        teams: dict[str, str] = {}
        waiting = [row for row in self.data.employees if row["employee_id"] in heads]
        while waiting:  # parents first
            row = waiting.pop(0)
            above = row["reports_to"]
            if above in heads and above not in teams and any(other["employee_id"] == above for other in waiting):
                waiting.append(row)
                continue
            number = row["employee_id"]
            teams[number] = self.crm.post("/v1/teams", {
                "name": f"Team {row['first_name']} {row['last_name']}", "head_id": self.users[number], "parent_id": teams.get(above, "")},
                step=f"team/{number}")["id"]
        for row in self.data.employees:
            team = teams.get(row["reports_to"]) or teams.get(row["employee_id"])
            if team:
                self.team_of[row["employee_id"]] = team
                self.crm.patch(f"/v1/users/{self.users[row['employee_id']]}", {"team_id": team, "manager_id": self.users.get(row["reports_to"], "")},
                               step=f"user/{row['employee_id']}/team")
        self.facts["users"], self.facts["teams"] = dict(self.users), dict(teams)
        return f"{len(self.users)} employees are users; their {len(teams)} managers lead teams"

    def party(self, kind: str, row: dict) -> dict:
        phones = [{"number": row[name], "label": label} for name, label in (("phone", "work"), ("fax", "fax")) if row[name]]
        address = {"label": "legal", "street": row["address"], "city": row["city"], "region": row["region"], "postal_code": row["postal_code"],
                   "country": row["country"]}
        return {"name": row["company_name"], "roles": [f"ROLE_{kind.upper()}"], "phones": phones, "addresses": [address], "source": "import",
                "lifecycle": "LIFECYCLE_CUSTOMER",
                "external_ids": [{"system": self.data.name.lower(), "id": f"{kind}/{row[f'{kind}_id']}"}]}

    def parties(self):
        for kind, rows in (("customer", self.data.customers), ("supplier", self.data.suppliers)):
            for row in rows:
                yield kind, row, f"{kind}/{row[f'{kind}_id']}"

    def batches(self, path: str, field: str, items: list[tuple[str, dict]]) -> dict[str, dict]:
        """Makes (key, record) in batches; the records made, by key. One that exists already, from an earlier try, is read."""
        made: dict[str, dict] = {}
        for start in range(0, len(items), BATCH):
            some = items[start:start + BATCH]
            answer = self.crm.post(f"{path}:batchCreate", {"requests": [{field: record} for _, record in some]}, step=f"{path}/{start}")
            for (key, record), result in zip(some, answer["results"]):
                if "error" in result:
                    raise console.Failure(f"{path}: {key} was refused: {result['error']}", "mend the row in the CSV file")
                made[key] = result[field]
        return made

    def bring_companies(self) -> str:
        made = self.batches("/v1/companies", "company", [(key, self.party(kind, row)) for kind, row, key in self.parties()])
        for key, company in made.items():
            self.companies[key] = company["id"]
            self.unparsed += [f"{company['name']}: {phone['number']}" for phone in company["phones"] if phone["unparsed"]]
        self.facts["companies"], self.facts["unparsed"] = len(made), len(self.unparsed)
        phones = sum(len(company["phones"]) for company in made.values())
        shown = "".join(f"\n      {line}" for line in self.unparsed[:5])
        more = f"\n      ... and {len(self.unparsed) - 5} more" if len(self.unparsed) > 5 else ""
        return (f"{len(self.data.customers)} customers and {len(self.data.suppliers)} suppliers are companies; {phones - len(self.unparsed)} phones in E.164, "
                f"{len(self.unparsed)} kept as given:{shown}{more}\n     ")

    def bring_contacts(self) -> str:
        people = []
        for kind, row, key in self.parties():
            given, _, family = row["contact_name"].partition(" ")
            people.append((key, {
                "given_name": given, "family_name": family, "job_title": row["contact_title"], "company_id": self.companies[key],
                "roles": [f"ROLE_{kind.upper()}"], "lifecycle": "LIFECYCLE_CUSTOMER", "source": "import",
                "addresses": [{"city": row["city"], "country": row["country"]}],
                "phones": [{"number": row["phone"], "label": "work"}] if row["phone"] else [],
                "external_ids": [{"system": self.data.name.lower(), "id": key}]}))
        self.contacts = {key: contact["id"] for key, contact in self.batches("/v1/contacts", "contact", people).items()}
        self.facts["contacts"] = len(self.contacts)
        return f"{len(self.contacts)} contacts work there"

    def bring_products(self) -> str:
        categories = {row["category_id"]: row["category_name"] for row in self.data.categories}
        items = [(row["product_id"], {
            "name": row["product_name"], "sku": f"P-{row['product_id']}", "category": categories.get(row["category_id"], ""), "unit": row["quantity_per_unit"],
            "unit_price": {"amount": row["unit_price"], "currency_code": CURRENCY}, "discontinued": row["discontinued"] in ("1", "true", "t"),
            "supplier_id": self.companies.get(f"supplier/{row['supplier_id']}", ""),
            "external_ids": [{"system": self.data.name.lower(), "id": row["product_id"]}]}) for row in self.data.products]
        self.products = {key: product["id"] for key, product in self.batches("/v1/products", "product", items).items()}
        self.facts["products"] = len(self.products)
        return f"{len(self.products)} products in {len(set(categories.values()))} categories"

    def moment(self, day: str) -> str:
        """Noon of that day at the tenant's: no zone makes it another day."""
        local = datetime.datetime.combine(datetime.date.fromisoformat(day), datetime.time(12), self.zone)
        return local.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def bring_orders(self) -> str:
        lines = self.data.lines_of()
        won = next(stage for stage in self.pipeline["stages"] if stage["kind"] == "STAGE_KIND_WON")
        made = 0
        for start in range(0, len(self.data.orders), BATCH):
            deals = []
            for row in self.data.orders[start:start + BATCH]:
                deal = {"title": f"Order {row['order_id']}", "number": row["order_id"], "pipeline_id": self.pipeline["id"], "stage_id": won["id"],
                        "company_id": self.companies[f"customer/{row['customer_id']}"], "contact_id": self.contacts[f"customer/{row['customer_id']}"],
                        "owner_id": self.users[row["employee_id"]], "team_id": self.team_of.get(row["employee_id"], ""), "source": "import", "expected_close_date": row["required_date"],
                        "external_ids": [{"system": self.data.name.lower(), "id": row["order_id"]}],
                        "lines": [{"product_id": self.products[line["product_id"]], "quantity": line["quantity"],
                                   "unit_price": {"amount": line["unit_price"], "currency_code": CURRENCY},
                                   "discount_percent": percent(line["discount"])} for line in lines.get(row["order_id"], [])]}
                if row["shipped_date"]:
                    deal["ship_time"] = self.moment(row["shipped_date"])
                deals.append({"deal": deal, "open_time": self.moment(row["order_date"]), "close_time": self.moment(row["order_date"])})
            answer = self.crm.post("/v1/deals:import", {"deals": deals}, step=f"orders/{start}")
            for row, result in zip(self.data.orders[start:], answer["results"]):
                if "error" in result:
                    raise console.Failure(f"order {row['order_id']} was refused: {result['error']}", "mend the row in the CSV file")
                made += 1
        self.facts["deals"] = made
        return f"{made} orders with {len(self.data.order_details)} lines are won deals"

    def revenue(self) -> tuple[Decimal, int]:
        total = self.crm.get("/v1/reports/revenue", group_by="GROUP_BY_YEAR").get("total", {})
        return sum((Decimal(money["amount"]) for money in total.get("revenue", [])), Decimal(0)), total.get("deal_count", 0)

    def check_import(self) -> str:
        expected = cents(self.data.revenue())
        orders = sum(1 for row in self.data.orders)
        found, count = self.crm.until(self.revenue, lambda now: now == (expected, orders), f"the report shows {expected} from {orders} deals")
        self.facts["imported_revenue"] = str(found)
        best = self.crm.get("/v1/reports/revenue", group_by="GROUP_BY_COUNTRY", row_count_max="3")["rows"]
        return (f"revenue after line discounts: {found:,} {CURRENCY} from {count} deals, as the CSV files say; most of it from "
                + ", ".join(f"{row['key'] or '?'} {Decimal(row['revenue'][0]['amount']):,}" for row in best))

    def make_form(self) -> str:
        self.form = self.crm.post("/v1/forms", {"name": "Ask for an offer", "enabled": True}, step="form")
        return f"a web form posts to {self.form['submit_path']}"

    def post_form(self) -> str:
        filled = {"submission_id": f"{self.name}-1", "name": "Grace Hopper", "phone": "(212) 555-0198", "email": f"grace@{self.name}-visitor.example.org",
                  "message": "Please send an offer for 40 boxes.", "utm": {"utm_source": "ads", "utm_campaign": "autumn"}}
        stranger = Patient(self.url, self.name)  # no token: the public
        first = stranger.must("POST", self.form["submit_path"], filled)["lead_id"]
        second = stranger.must("POST", self.form["submit_path"], filled)["lead_id"]
        leads = self.crm.get("/v1/leads")["leads"]
        self.crm.repeats += stranger.repeats
        stranger.api.close()
        if first != second or len(leads) != 1:
            raise console.Failure(f"the form was posted twice and there are {len(leads)} leads ({first}, {second})", "report this: it must be one")
        self.lead = leads[0]
        self.facts["leads"] = len(leads)
        return f"the form came in twice: one lead, \"{self.lead['title']}\""

    def accept_lead(self) -> str:
        accepted = self.crm.post(f"/v1/leads/{self.lead['id']}:accept", {"deal_title": "40 boxes for Grace Hopper"}, step="accept")
        self.deal = self.crm.patch(f"/v1/deals/{accepted['deal']['id']}", {"amount": {"amount": "1999.90", "currency_code": CURRENCY}}, step="amount")
        self.facts["deal_id"], self.facts["contact_id"] = self.deal["id"], accepted["contact"]["id"]
        return f"accepted: contact {accepted['contact']['display_name']}, deal \"{self.deal['title']}\" of {self.deal['amount']['amount']} {CURRENCY}"

    def stages_ahead(self) -> list[str]:
        """Of the new deal, on its way to won."""
        return list(self.stages)[1:]

    def funnel(self) -> dict:
        return self.crm.get("/v1/reports/funnel", pipeline_id=self.pipeline["id"])

    def win_deal(self) -> str:
        before, _ = self.revenue()
        self.crm.until(self.funnel, lambda funnel: funnel["deal_count"] == len(self.data.orders) + 1, "the funnel shows the new deal")
        slowest = 0.0
        revenue, funnel = Watch(self, "/v1/reports/revenue:watch", group_by="GROUP_BY_YEAR"), Watch(self, "/v1/reports/funnel:watch", pipeline_id=self.pipeline["id"])
        try:
            for name in self.stages_ahead():
                stage = self.stages[name]
                if stage["kind"] == "STAGE_KIND_LOST":
                    break
                self.before(f"move to {name}")
                self.crm.post(f"/v1/deals/{self.deal['id']}:move", {"stage_id": stage["id"]}, step=f"move/{stage['id']}")
                start = time.monotonic()
                funnel.until(lambda report: any(row["stage_id"] == stage["id"] and row["current_count"] >= (1 if stage["kind"] == "STAGE_KIND_OPEN" else
                                                                                                         len(self.data.orders) + 1) for row in report["stages"]),
                             f"the live funnel shows the deal in {name}")
                slowest = max(slowest, time.monotonic() - start)
            expected = before + Decimal("1999.90")
            start = time.monotonic()
            revenue.until(lambda report: sum(Decimal(money["amount"]) for money in report["total"].get("revenue", [])) == expected,
                          f"the live revenue shows {expected}")
            slowest = max(slowest, time.monotonic() - start)
        finally:
            revenue.close()
            funnel.close()
        self.facts["slowest_live_seconds"] = round(slowest, 3)
        self.facts["revenue"] = str(expected)
        return f"moved through the stages to won: the open live streams showed each change, the slowest after {slowest:.2f} s; revenue is {expected:,}"

    def rows(self, group: str) -> list[dict]:
        return self.crm.get("/v1/reports/revenue", group_by=f"GROUP_BY_{group}")["rows"]

    def check_reports(self) -> str:
        recount = self.crm.until(lambda: self.crm.post("/v1/reports:recount", {}, step=""), lambda answer: answer["equal"], "the recount equals the reports")
        # Countries come from the contact service's events, which are heard apart from the deals': only the visitor has none.
        self.crm.until(lambda: self.rows("COUNTRY"), lambda rows: all(row["key"] or row["deal_count"] <= 1 for row in rows), "every company's country is known")
        rows = {group: self.rows(group) for group in ("EMPLOYEE", "PRODUCT", "COUNTRY", "MONTH")}
        self.facts["report_rows"] = {group: len(found) for group, found in rows.items()}
        top = rows["EMPLOYEE"][0]
        return (f"recounted from the event logs: {len(recount['comparisons'])} projections are equal; {top['label']} sold most, "
                f"{Decimal(top['revenue'][0]['amount']):,} {CURRENCY}")


class Watch:
    """A live report that is opened again when its stream breaks."""

    def __init__(self, job: FirstJob, path: str, **query):
        self.job, self.path, self.query = job, path, query
        self.stream: Events | None = None

    def until(self, wanted, what: str):
        deadline = time.monotonic() + self.job.crm.seconds
        while True:
            left = deadline - time.monotonic()
            if left < 0:
                raise console.Failure(f"{what}: not within {self.job.crm.seconds:.0f} s", "see tools/crm logs analytics and gateway")
            try:
                if self.stream is None:
                    self.stream = self.job.crm.api.events(self.path, **self.query)
                event = self.stream.next(min(left, 5.0))
                if event is None:
                    self.close()
                    time.sleep(0.1)
                elif event.type == "message" and wanted(event.body):
                    return event.body
            except TimeoutError:
                continue
            except (OSError, ApiError, EOFError):
                self.close()
                time.sleep(0.1)

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None


def percent(discount: str) -> str:
    """ "0.15" -> "15". """
    text = f"{(Decimal(discount or '0') * 100).normalize():f}"
    return "" if text == "0" else text


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
