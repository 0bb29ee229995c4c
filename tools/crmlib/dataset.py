"""A trading company's books as CSV files: customers, suppliers, employees, categories, products, orders and their lines, in the
shape of the well-known Northwind data. Read from a folder, or made up: always the same for the same seed."""

import csv
import dataclasses
import datetime
import random
import re
from decimal import Decimal
from pathlib import Path

from crmlib import console

# file: the columns that are used; others may stand there too.
FILES = {
    "customers": ("customer_id", "company_name", "contact_name", "contact_title", "address", "city", "region", "postal_code", "country", "phone", "fax"),
    "suppliers": ("supplier_id", "company_name", "contact_name", "contact_title", "address", "city", "region", "postal_code", "country", "phone", "fax"),
    "employees": ("employee_id", "last_name", "first_name", "title", "city", "country", "home_phone", "reports_to"),
    "categories": ("category_id", "category_name"),
    "products": ("product_id", "product_name", "supplier_id", "category_id", "quantity_per_unit", "unit_price", "discontinued"),
    "orders": ("order_id", "customer_id", "employee_id", "order_date", "required_date", "shipped_date"),
    "order_details": ("order_id", "product_id", "unit_price", "quantity", "discount"),
}

Row = dict[str, str]

# What a column's values must be: a rule and how it is told. Columns that are not named here are free text.
DAY = (lambda value: bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)) and is_day(value), "a day like 2026-11-23")
NUMBER = (lambda value: bool(re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,20})?", value)), "a number like 12.50, not negative")
SHARE = (lambda value: NUMBER[0](value) and Decimal(value) <= 1, "a share from 0 to 1, like 0.05")
SOMETHING = (bool, "not empty")
VALUES = {
    "customers": {"customer_id": SOMETHING, "company_name": SOMETHING},
    "suppliers": {"supplier_id": SOMETHING, "company_name": SOMETHING},
    "employees": {"employee_id": SOMETHING},
    "categories": {"category_id": SOMETHING, "category_name": SOMETHING},
    "products": {"product_id": SOMETHING, "product_name": SOMETHING, "unit_price": NUMBER},
    "orders": {"order_id": SOMETHING, "order_date": DAY, "required_date": DAY, "shipped_date": DAY},
    "order_details": {"unit_price": NUMBER, "quantity": NUMBER, "discount": SHARE},
}
MAY_BE_EMPTY = {"required_date", "shipped_date", "discount"}
# The column that names each row; what other columns name such a row, in which file, and whether they may be empty.
KEYS = {"customers": "customer_id", "suppliers": "supplier_id", "employees": "employee_id", "categories": "category_id", "products": "product_id",
        "orders": "order_id"}
REFERENCES = [("employees", "reports_to", "employees", True), ("products", "supplier_id", "suppliers", True), ("products", "category_id", "categories", True),
              ("orders", "customer_id", "customers", False), ("orders", "employee_id", "employees", False), ("order_details", "order_id", "orders", False),
              ("order_details", "product_id", "products", False)]


def is_day(text: str) -> bool:
    try:
        return bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


@dataclasses.dataclass(frozen=True)
class Dataset:
    name: str
    customers: list[Row]
    suppliers: list[Row]
    employees: list[Row]
    categories: list[Row]
    products: list[Row]
    orders: list[Row]
    order_details: list[Row]

    def lines_of(self) -> dict[str, list[Row]]:
        lines: dict[str, list[Row]] = {}
        for row in self.order_details:
            lines.setdefault(row["order_id"], []).append(row)
        return lines

    def revenue(self) -> Decimal:
        """After line discounts, exactly."""
        return sum((Decimal(row["unit_price"]) * Decimal(row["quantity"]) * (1 - Decimal(row["discount"] or "0")) for row in self.order_details),
                   Decimal(0))


def read(folder: Path) -> Dataset:
    """Every file, checked to the last value: what is wrong shows, with file, line and column, before anything is sent anywhere."""
    tables: dict[str, list[Row]] = {}
    lines: dict[str, list[int]] = {}
    for name, columns in FILES.items():
        path = folder / f"{name}.csv"
        if not path.exists():
            raise console.Failure(f"{path} is missing", f"the folder needs {', '.join(f'{file}.csv' for file in FILES)}")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                missing = [column for column in columns if column not in (reader.fieldnames or [])]
                if missing:
                    raise console.Failure(f"{path} has no column {', '.join(missing)}", f"its first line must name {', '.join(columns)}")
                tables[name], lines[name] = [], []
                for row in reader:
                    tables[name].append({key: (value or "").strip() for key, value in row.items() if key is not None})
                    lines[name].append(reader.line_num)
        except (csv.Error, UnicodeDecodeError) as error:
            raise console.Failure(f"{path} cannot be read as CSV in UTF-8: {error}", "export it again with commas and UTF-8") from None
    check(folder, tables, lines)
    return Dataset(folder.resolve().name, **tables)


def check(folder: Path, tables: dict[str, list[Row]], lines: dict[str, list[int]]) -> None:
    keys = {name: [row[column] for row in tables[name]] for name, column in KEYS.items()}
    known = {name: set(values) for name, values in keys.items()}

    def wrong(name: str, line: int, column: str, text: str) -> console.Failure:
        return console.Failure(f"{folder / name}.csv, line {line}: {column} {text}", "mend the row; nothing has been sent yet")

    for name, rows in tables.items():
        seen: set[str] = set()
        for row, line in zip(rows, lines[name]):
            for column in FILES[name]:
                if "\0" in row[column]:
                    raise wrong(name, line, column, "has a NUL character")
            for column, (holds, what) in VALUES[name].items():
                if not (row[column] == "" and column in MAY_BE_EMPTY) and not holds(row[column]):
                    raise wrong(name, line, column, f"is {row[column][:60]!r}, it must be {what}")
            for file, column, target, optional in REFERENCES:
                if file == name and row[column] not in known[target] and not (optional and row[column] == ""):
                    raise wrong(name, line, column, f"is {row[column][:60]!r}, which {target}.csv does not have")
            if name in KEYS:
                if row[KEYS[name]] in seen:
                    raise wrong(name, line, KEYS[name], f"{row[KEYS[name]][:60]!r} stands twice")
                seen.add(row[KEYS[name]])


# What made-up data are made of: names in the scripts that the product meets.
PEOPLE = [("Anna", "Petersen"), ("Иван", "Щёкин"), ("Мария", "Соколова"), ("דוד", "לוי"), ("רחל", "כהן"), ("José", "Núñez"), ("Zoë", "Müller"),
          ("Łukasz", "Żak"), ("Aino", "Mäkelä"), ("Chloé", "Lefèvre"), ("Ayşe", "Yılmaz"), ("Giulia", "De Luca"), ("Søren", "Ørsted"), ("Emily", "O'Brien"),
          ("Пётр", "Иванов"), ("מענדל", "קאַץ"), ("Hans", "Grün"), ("Ingrid", "Åberg")]
PLACES = [("Berlin", "Germany", "030 {:08d}"), ("Hamburg", "Germany", "040 {:08d}"), ("Москва", "Россия", "8 495 {:07d}"), ("ירושלים", "Israel", "02 5{:06d}"),
          ("Paris", "France", "01 4{:07d}"), ("Madrid", "Spain", "91 {:07d}"), ("London", "UK", "020 7{:07d}"), ("New York", "USA", "(212) 555-{:04d}"),
          ("Warszawa", "Poland", "22 {:07d}"), ("Helsinki", "Finland", "09 {:06d}")]
TRADES = ["Coffee & Tea", "Bakery", "Книги", "מאפייה", "Bürobedarf", "Électronique", "Outdoor", "Молоко", "Flowers", "Wine Cellar"]
GOODS = ["Coffee", "Green tea", "Rye bread", "Мёд", "Olives", "Dark chocolate", "חלבה", "Marzipan", "Gouda", "Sardines", "Rice", "Cider", "Jam", "Walnuts"]
TITLES = ["Owner", "Buyer", "Accountant", "Руководитель", "Sales Manager"]


def made_up(today: datetime.date, seed: int = 1, customers: int = 60, suppliers: int = 12, products: int = 42, orders: int = 360) -> Dataset:
    """A company of six employees that has traded for the year and a half up to `today`."""
    dice = random.Random(seed)

    def party(number: int, key: str) -> Row:
        city, country, phone = dice.choice(PLACES)
        given, family = dice.choice(PEOPLE)
        digits = int(10 ** int(phone.split("{:0")[1][0]) * dice.random())
        return {key: str(number), "company_name": f"{family} {dice.choice(TRADES)} {number}", "contact_name": f"{given} {family}",
                "contact_title": dice.choice(TITLES), "address": f"Street {dice.randint(1, 200)}", "city": city, "region": "",
                "postal_code": f"{dice.randint(10000, 99999)}", "country": country, "phone": phone.format(digits), "fax": ""}

    employees = [{"employee_id": str(i + 1), "first_name": given, "last_name": family, "title": "Head of sales" if i in (0, 1) else "Sales representative",
                  "city": "Berlin", "country": "Germany", "home_phone": f"030 {5550000 + i:08d}", "reports_to": "" if i == 0 else "1" if i in (1, 2) else "2"}
                 for i, (given, family) in enumerate([("Vera", "Fuchs"), ("Стивен", "Буханан"), ("Nancy", "Dahl"), ("יעל", "ברק"), ("Ольга", "Пак"), ("Paul", "Weiß")])]
    categories = [{"category_id": str(i + 1), "category_name": name} for i, name in enumerate(["Beverages", "Bakery", "Sweets", "Delicatessen"])]
    goods = [{"product_id": str(i + 1), "product_name": f"{GOODS[i % len(GOODS)]} {'ABC'[i // len(GOODS) % 3]}", "supplier_id": str(dice.randint(1, suppliers)),
              "category_id": str(dice.randint(1, len(categories))), "quantity_per_unit": dice.choice(["1 kg", "12 bottles", "24 boxes"]),
              "unit_price": f"{dice.randint(150, 9000) / 100:.2f}", "discontinued": "1" if dice.random() < 0.1 else "0"} for i in range(products)]
    sales, lines = [], []
    for number in range(1, orders + 1):
        day = today - datetime.timedelta(days=int(540 * (1 - number / orders)))
        shipped = "" if number > orders - 15 else str(min(today, day + datetime.timedelta(days=dice.randint(1, 12))))
        sales.append({"order_id": str(1000 + number), "customer_id": str(dice.randint(1, customers)), "employee_id": str(dice.randint(1, len(employees))),
                      "order_date": str(day), "required_date": str(day + datetime.timedelta(days=28)), "shipped_date": shipped})
        for product in dice.sample(goods, dice.randint(1, 5)):
            lines.append({"order_id": str(1000 + number), "product_id": product["product_id"], "unit_price": product["unit_price"],
                          "quantity": str(dice.randint(1, 40)), "discount": dice.choice(["0.00", "0.00", "0.05", "0.15"])})
    return Dataset("made-up", [party(i + 1, "customer_id") for i in range(customers)], [party(i + 1, "supplier_id") for i in range(suppliers)],
                   employees, categories, goods, sales, lines)
