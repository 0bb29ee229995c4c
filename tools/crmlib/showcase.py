"""What makes the demo tenant look alive beside its past orders: open deals on the board, leads in the inbox, tasks for today. And
the three users that the console offers to sign in as, in development only."""

import datetime
import random
import smtplib
from email.message import EmailMessage

from crmlib.firstjob import CURRENCY, PASSWORD, FirstJob

DEALS = [
    ("Комплексная автоматизация складского учёта и доставки для сети кофеен «Утренний свет»", "New", 1, "48200.00"), ("Gift boxes for the trade fair", "New", 0, "1250.00"),
    ("דוכן קפה לאירוע החורף", "New", 2, "3900.00"), ("Breakfast for 60 guests, every Friday", "New", 4, ""), ("Honey, 12 pallets", "New", 1, "18400.00"), ("Пробная партия мёда", "New", 0, ""),
    ("Tea corner in the new office", "Qualified", 5, "2790.50"), ("Поставка чая на второй квартал", "Qualified", 9, "15300.00"), ("Olives and oil for three restaurants", "Qualified", 3, "7425.00"),
    ("Christmas marzipan", "Qualified", 6, "5120.00"), ("חלבה לשרשרת בתי קפה", "Qualified", 2, "8800.00"),
    ("Annual coffee contract", "Offer", 4, "96000.00"), ("Dark chocolate, own label", "Offer", 12, "31250.00"), ("Рождественские наборы для клиентов банка", "Offer", 2, "22700.00"), ("Cider for the summer garden", "Offer", 1, "4380.00"),
    ("Rye bread, daily delivery", "Negotiation", 16, "54600.00"), ("Долгосрочный договор на поставку орехов и сухофруктов", "Negotiation", 3, "61900.00"), ("Cheese counter at Åberg", "Negotiation", 7, "12480.00"),
]
LEADS = [
    ("Александра Константинопольская-Вознесенская", "+7 495 123-45-67", "alexandra@{0}-visitor.example.org", "Сеть пекарен «Тёплый хлеб»", "Добрый день! Нужны постоянные поставки ржаной муки и мёда, около 400 кг в месяц. "
     "Пришлите, пожалуйста, условия и сроки доставки в Тверь.", {"utm_source": "yandex", "utm_campaign": "osen"}),
    ("נועה ברקוביץ׳", "+972 52 555 0142", "noa@{0}-visitor.example.org", "מאפיית הגליל", "שלום, אשמח לקבל הצעה לקפה וטחינה לשלושה סניפים.", {"utm_source": "google"}),
    ("Tom Becker", "+49 30 5551234", "tom@{0}-visitor.example.org", "Becker Feinkost", "Could you deliver olives to Hamburg by the end of next week?", {"utm_source": "ads", "utm_campaign": "autumn"}),
    ("Mei Chen", "", "mei@{0}-visitor.example.org", "", "What is the smallest order of green tea that you take?", {}),
    ("Ольга Мирошниченко", "+7 812 555-01-99", "", "", "Перезвоните, пожалуйста, после 15:00.", {"utm_source": "vk"}),
]
TASKS = [  # title, kind, hours from now
    ("Call about the annual contract", "call", -26), ("Send the offer once more", "letter", -3), ("Встреча: согласовать условия поставки на следующий год", "meeting", 2),
    ("Call back after lunch", "call", 4), ("Prepare samples of dark chocolate", "todo", 5), ("להתקשר ללקוח בנוגע להצעה", "call", 27),
]
LETTERS = [  # subject, text
    ("Условия поставки", "Добрый день!\n\nСпасибо за предложение. Уточните, пожалуйста, сроки доставки и скидку при заказе от 500 кг.\n\nС уважением,\nотдел закупок"),
    ("Re: Annual coffee contract", "Hello,\n\nthe price is fine. Can you deliver every second Monday, and send the contract by Friday?\n\nBest regards"),
    ("שאלה לגבי המשלוח", "שלום,\n\nמתי המשלוח הבא מגיע? אנחנו צריכים עוד שתי קופסאות.\n\nתודה"),
]
SMTP_PORT = 2525  # where the demo's letters would be taken


def run(job: FirstJob, lmtp_port: int | None = None, smtp_port: int = SMTP_PORT) -> None:
    """After the first job; each write can be repeated. `lmtp_port`: where the instance takes letters, if it does."""
    paths = {route["path"] for route in job.crm.get("/v1/schema")["routes"]}
    add_deals(job)
    add_leads(job)
    if "/v1/tasks:today" in paths:
        add_tasks(job)
    if "/v1/channels" in paths and lmtp_port:
        add_letters(job, lmtp_port, smtp_port)


def sellers(job: FirstJob) -> list[str]:
    """The managers, the one that the console signs in as first."""
    heads = {row["reports_to"] for row in job.data.employees}
    return [row["employee_id"] for row in job.data.employees if row["employee_id"] not in heads]


def demo_head(job: FirstJob) -> str:
    """The head that the console signs in as: the one nearest to the sellers."""
    return [row["employee_id"] for row in job.data.employees if row["employee_id"] in job.facts["teams"]][-1]


def add_deals(job: FirstJob) -> None:
    now, dice, owners = datetime.datetime.now(datetime.timezone.utc), random.Random(7), sellers(job)
    customers = [row["customer_id"] for row in job.data.customers]
    deals, theirs = [], {}
    for number, (title, stage, days, amount) in enumerate(DEALS):
        owner, customer = owners[number % 2 if number % 3 else -1], f"customer/{dice.choice(customers)}"
        deal = {"title": title, "pipeline_id": job.pipeline["id"], "stage_id": job.stages[stage]["id"], "company_id": job.companies[customer], "contact_id": job.contacts[customer],
                "owner_id": job.users[owner], "team_id": job.team_of.get(owner, ""), "source": dice.choice(["web form", "fair", "call"]),
                "expected_close_date": str((now + datetime.timedelta(days=21 - 2 * days)).date())}
        theirs[job.companies[customer]], theirs[job.contacts[customer]] = owner, owner
        if amount:
            deal["amount"] = {"amount": amount, "currency_code": CURRENCY}
        deals.append({"deal": deal, "open_time": moment(now - datetime.timedelta(days=days, hours=1 + number % 5))})
    for record, owner in theirs.items():  # who sells to them may see them
        path = "/v1/companies" if record.startswith("company_") else "/v1/contacts"
        job.crm.patch(f"{path}/{record}", {"owner_id": job.users[owner], "team_id": job.team_of.get(owner, "")}, step=f"showcase/{record}")
    job.crm.post("/v1/deals:import", {"deals": deals}, step="showcase/deals")


def add_leads(job: FirstJob) -> None:
    owners = sellers(job)
    for number, (name, phone, email, company, message, utm) in enumerate(LEADS):
        owner = owners[number % 2]
        job.crm.post("/v1/leads", {"name": name, "phone": phone, "email": email.format(job.name), "company_name": company, "message": message, "utm": utm, "source": "web form",
                                   "owner_id": job.users[owner], "team_id": job.team_of.get(owner, "")}, step=f"showcase/lead/{number}")


def add_tasks(job: FirstJob) -> None:
    now, head, seller = datetime.datetime.now(datetime.timezone.utc), demo_head(job), sellers(job)[0]
    deals = job.crm.get("/v1/deals", filter=f'owner_id = "{job.users[seller]}" AND status = DEAL_STATUS_OPEN', page_size="20")["deals"]
    for number, (title, kind, hours) in enumerate(TASKS):
        deal = deals[number % len(deals)]
        job.crm.post("/v1/tasks", {"title": title, "kind": f"TASK_KIND_{kind.upper()}", "due_time": moment(now + datetime.timedelta(hours=hours)), "owner_id": job.users[seller],
                                   "deal_id": deal["id"], "contact_id": deal["contact_id"]}, step=f"showcase/task/{number}")
    job.crm.post("/v1/tasks", {"title": "Look at the quarter's numbers", "kind": "TASK_KIND_TODO", "due_time": moment(now + datetime.timedelta(hours=3)), "owner_id": job.users[head]}, step="showcase/task/head")


def add_letters(job: FirstJob, lmtp_port: int, smtp_port: int) -> None:
    """Customers write: their letters arrive as from a mail server, and become conversations of those who sell to them. Answers
    wait in the queue until something takes them at smtp_port: /usr/bin/python3 -m aiosmtpd -n -l 127.0.0.1:2525 shows them."""
    ours = f"sales@{job.name}.example.com"
    job.crm.post("/v1/channels", {"name": "Sales", "kind": "CHANNEL_KIND_EMAIL", "address": ours, "display_name": f"{job.data.name.title()} Traders", "is_default": True,
                                  "smtp": {"host": "127.0.0.1", "port": smtp_port, "security": "SMTP_SECURITY_NONE"}}, step="showcase/channel")
    seller = job.users[sellers(job)[0]]
    customers = [deal["contact_id"] for deal in job.crm.get("/v1/deals", filter=f'owner_id = "{seller}" AND status = DEAL_STATUS_OPEN', order_by="title")["deals"]]
    for number, (subject, text) in enumerate(LETTERS):
        contact = job.crm.patch(f"/v1/contacts/{customers[number]}", {"emails": [{"address": f"customer{number}@{job.name}-visitor.example.org"}]}, step=f"showcase/address/{number}")
        letter = EmailMessage()
        letter["From"] = f"{contact['display_name']} <{contact['emails'][0]['address']}>"
        letter["To"], letter["Subject"], letter["Message-ID"] = ours, subject, f"<showcase-{number}@{job.name}-visitor.example.org>"
        letter["Date"] = datetime.datetime.now(datetime.timezone.utc)
        letter.set_content(text)
        with smtplib.LMTP("127.0.0.1", lmtp_port) as server:
            server.send_message(letter)


def moment(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def demo_users(job: FirstJob) -> dict:
    """What the console's sign-in page offers: one user of each role."""
    names = {row["employee_id"]: f"{row['first_name']} {row['last_name']}" for row in job.data.employees}
    head = demo_head(job)
    seller = sellers(job)[0]
    user = lambda role, name, login: {"role": role, "name": name, "login": login, "password": PASSWORD}  # noqa: E731
    return {"users": [user("manager", names[seller], f"employee{seller}@{job.name}.example.com"), user("head", names[head], f"employee{head}@{job.name}.example.com"),
                      user("administrator", "Olivia Owner", job.login)]}
