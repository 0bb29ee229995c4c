"""Names that the made-up people and companies carry, Latin and Cyrillic: real ones, in no order."""

LATIN_GIVEN = """Anna Maria Peter Thomas Sabine Michael Andrea Stefan Julia Christian Katharina Andreas Laura Markus Sarah Daniel Lena Alexander Sophie
Martin Emma Paul James Mary Robert Patricia John Jennifer David Linda William Elizabeth Richard Barbara Joseph Susan Charles Jessica Karen
Matthew Nancy Anthony Lisa Mark Margaret Donald Betty Steven Sandra Andrew Ashley Kenneth Dorothy George Kimberly Joshua Emily Kevin Donna
Brian Michelle Edward Carol Ronald Amanda Timothy Melissa Jason Deborah Jeffrey Stephanie Ryan Rebecca Jacob Sharon Gary Cynthia Nicholas
Kathleen Eric Amy Jonathan Shirley Stephen Angela Larry Helen Justin Brenda Scott Pamela Brandon Nicole Benjamin Samuel Frank Raymond
Patrick Jack Dennis Jerry Tyler Aaron Jose Henry Adam Douglas Nathan Zachary Walter Kyle Harold Carl Chiara Giulia Marco Luca Pierre
Camille François Céline Jürgen Björn Søren Łukasz Zoë""".split()

CYRILLIC_GIVEN = """Александр Мария Дмитрий Анна Максим Елена Сергей Ольга Андрей Наталья Алексей Екатерина Артём Татьяна Илья Ирина Кирилл Светлана Михаил
Юлия Никита Анастасия Матвей Дарья Роман Виктория Егор Полина Арсений Елизавета Иван Ксения Денис Алина Евгений Людмила Тимофей Галина
Владислав Валентина Игорь Нина Владимир Вера Павел Любовь Руслан Надежда Марк Лариса Константин Тамара Тимур Маргарита Олег Оксана
Ярослав Марина Антон Кристина Николай Вероника Глеб Евгения Данил Инна Савелий Алла Вадим Раиса Степан Зоя Юрий Яна Богдан Лидия Артур
Диана Семён Карина Макар София Лев Алёна Виктор Арина Елисей Варвара Виталий Ульяна Вячеслав Василиса Захар Ева Мирон Милана Дамир
Камилла Георгий Регина Давид Эльвира Платон Снежана Анатолий Жанна Григорий Инга Демид Злата Данила Стефания Станислав Эмма Василий
Федор Петр Борис Валерий Геннадий Леонид""".split()

LATIN_FAMILY = """Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann
Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Meier Lehmann Schmid Schulze Maier Köhler Herrmann König Walter
Mayer Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn Schubert Vogel Friedrich Keller Günther Frank Berger Winkler Roth Beck
Lorenz Baumann Franke Albrecht Schuster Simon Ludwig Böhm Winter Kraus Martin Schumacher Krämer Vogt Stein Jäger Otto Sommer Groß Seidel
Heinrich Brandt Haas Schreiber Graf Schulte Dietrich Ziegler Kuhn Kühn Pohl Engel Horn Busch Bergmann Thomas Voigt Sauer Arnold Wolff
Pfeiffer Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Taylor Moore
Jackson Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill
Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards
Collins Reyes Stewart Morris Morales Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox
Ward Richardson Watson Brooks Chavez Wood James Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross
Foster Jimenez Powell Jenkins Perry Russell Sullivan Bell Coleman Butler Henderson Barnes Fisher Vasquez Simmons Romero Jordan Patterson
Alexander Hamilton Graham Reynolds Griffin Wallace Moreno West Cole Hayes Bryant Herrera Gibson Ellis Tran Medina Aguilar Stevens Murray
Ford Castro Marshall Owens Harrison Fernandez McDonald Woods Washington Kennedy Wells Vargas Henry Chen Freeman Webb Tucker Guzman Burns
Crawford Olson Simpson Porter Hunter Gordon Mendez Silva Shaw Snyder Mason Dixon Munoz Hunt Hicks Holmes Palmer Wagner Black Robertson
Boyd Rose Stone Salazar Fox Warren Mills Meyer Rice Schultz Garza Daniels Ferguson Nichols Stephens Soto Weaver Ryan Gardner Payne Grant
Dunn Kelley Spencer Hawkins Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti Costa Giordano
Lefèvre Moreau Laurent Girard Dubois Lambert Bonnet Mercier Dupont Kowalski Wiśniewski Wójcik Lewandowski Zieliński Szymański Woźniak
Jørgensen Sørensen Christensen Lindström Gustafsson Håkansson O'Brien O'Connor""".split()

CYRILLIC_FAMILY = """Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов Волков Алексеев Лебедев Семёнов Егоров Павлов
Козлов Степанов Николаев Орлов Андреев Макаров Никитин Захаров Зайцев Соловьёв Борисов Яковлев Григорьев Романов Воробьёв Сергеев
Кузьмин Фролов Александров Дмитриев Королёв Гусев Киселёв Ильин Максимов Поляков Сорокин Виноградов Ковалёв Белов Медведев Антонов
Тарасов Жуков Баранов Филиппов Комаров Давыдов Беляев Герасимов Богданов Осипов Сидоров Матвеев Титов Марков Миронов Крылов Куликов
Карпов Власов Мельников Денисов Гаврилов Тихонов Казаков Афанасьев Данилов Савельев Тимофеев Фомин Чернов Абрамов Мартынов Ефимов
Федотов Щербаков Назаров Калинин Исаев Чернышёв Быков Маслов Родионов Коновалов Лазарев Воронин Климов Филатов Пономарёв Голубев
Кудрявцев Прохоров Наумов Потапов Журавлёв Овчинников Трофимов Леонов Соболев Ермаков Колесников Гончаров Емельянов Никифоров Грачёв
Котов Гришин Ефремов Архипов Громов Кириллов Малышев Панов Моисеев Румянцев Акимов Кондратьев Бирюков Горбунов Анисимов Еремин
Тихомиров Галкин Лукьянов Михеев Скворцов Юдин Белоусов Нестеров Симонов Прокофьев Харитонов Князев Цветков Левин Митрофанов Воронов
Аксёнов Софронов Мальцев Логинов Горшков Савин Краснов Майоров Демидов Елисеев Рыбаков Сафонов Плотников Демин Хохлов Фадеев Молчанов
Игнатов Литвинов Ершов Ушаков Дементьев Рябов Мухин Калашников Леонтьев Лобанов Кузин Корнеев Евдокимов Бородин Платонов Некрасов
Балашов Бобров Жданов Блинов Игнатьев Коротков Муравьёв Крюков Беляков Богомолов Дроздов Лавров Зуев Петухов Ларин Никулин Серов
Терентьев Зотов Устинов Фокин Самойлов Константинов Сахаров Шишкин Самсонов Черкасов Чистяков Носов Спиридонов Карасёв Авдеев Воронцов
Зверев Владимиров Селезнёв Нечаев Кудряшов Седов Фирсов Андрианов Панфилов Головин Терехов Ульянов Шестаков Агеев Никонов Селиванов
Баженов Гордеев Кожевников Пахомов Зимин Костин Широков Филимонов Ларионов Овсянников Сазонов Суворов Нефёдов Корнилов Любимов Львов
Горбачёв Копылов Лукин Токарев Кулешов Шилов Большаков Панкратов Родин Шаповалов Покровский Бочаров Никольский Маркин Горелов Агафонов
Березин Ермолаев Зубков Куприянов Трифонов Масленников Круглов Третьяков Колосов Рожков Артамонов Шмелёв Лаптев Лапшин Федосеев Зиновьев
Зорин Уткин Столяров Зубов Ткачёв Дорофеев Антипов Завьялов Свиридов Золотарёв Кулаков Мещеряков Макеев Дьяконов Гуляев Петровский
Бондарев Поздняков Панин Шевченко Коваленко Бондаренко Ткаченко Кравченко Олейник Шевчук Мельник Полищук Лысенко Щукин Щедрин Эйдельман""".split()

LATIN_SUFFIX = "GmbH AG Ltd Trading Logistics Group Consulting Foods Systems Partners".split()
CYRILLIC_SUFFIX = "ООО АО Логистика Строй Инжиниринг Агро Сервис Групп Торг Техника".split()

CITY = ["Berlin", "Hamburg", "München", "Köln", "Wien", "Zürich", "London", "Manchester", "Paris", "Lyon", "Milano", "Warszawa", "Москва",
        "Санкт-Петербург", "Казань", "Тула", "Новосибирск", "Екатеринбург", "Самара", "Омск"]
JOB_TITLE = ["Head of purchasing", "Sales manager", "Owner", "Accountant", "Engineer", "Assistant", "Managing director", "Директор", "Бухгалтер",
             "Менеджер по закупкам", "Инженер", "Руководитель отдела"]
