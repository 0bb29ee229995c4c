// Русский. Ключи те же, что в en.js.
export default {
  "loading": "Загрузка", "close": "Закрыть", "cancel": "Отмена", "save": "Сохранить", "create": "Создать", "edit": "Изменить", "remove": "Убрать", "retry": "Повторить", "more": "Показать ещё", "open": "Открыть", "back": "Назад",
  "undo": "Отменить", "yes": "да", "no": "нет", "currency": "Валюта", "somebody": "Кто-то", "automation": "Автоматика", "type_to_find": "Начните вводить", "request_id": "Запрос", "skip": "К содержанию", "sign_out": "Выйти",
  "hidden": "вам не видно",
  "days": { one: "{count} день", few: "{count} дня", many: "{count} дней", other: "{count} дня" },

  "error.offline": "Сервер не отвечает. Ничего не потеряно: повторите.", "error.not_found": "Этого нет, или вам это недоступно.",

  "sign_in.title": "Вход в CRM", "sign_in.password": "Пароль", "sign_in.enter": "Войти", "sign_in.demo": "Или осмотритесь как", "sign_in.wrong": "Неверная почта или пароль.",
  "role.manager": "Менеджер: свои сделки", "role.head": "Руководитель: команда", "role.administrator": "Администратор: всё",

  "nav.label": "Разделы", "nav.today": "Сегодня", "nav.leads": "Заявки", "nav.deals": "Сделки", "nav.contacts": "Контакты", "nav.companies": "Компании", "nav.messages": "Письма", "nav.reports": "Отчёты", "nav.requests": "Запросы", "nav.settings": "Настройки", "nav.tasks": "Задачи",
  "live.live": "На связи", "live.opening": "Подключение", "live.off": "Нет связи",

  "settings.of": "Настройки: {name}", "settings.language": "Язык", "settings.theme": "Цвета", "settings.auto": "Как в системе", "settings.light": "Светлые", "settings.dark": "Тёмные", "settings.rights": "Что вам видно", "settings.keys": "Клавиши",
  "settings.key_screens": "Разделы", "settings.key_cards": "От карточки к карточке", "settings.key_move": "Перенести карточку на другой этап",
  "scope.SCOPE_ALL": "всё", "scope.SCOPE_TEAM": "команды", "scope.SCOPE_OWN": "только своё", "scope.NONE": "ничего",
  "object.deal": "Сделка", "object.lead": "Заявка", "object.contact": "Контакт", "object.company": "Компания", "object.task": "Задача", "object.conversation": "Переписка", "object.report": "Отчёты", "object.note": "Заметка", "object.message": "Письмо", "object.reminder": "Напоминание",

  "search.label": "Поиск", "search.placeholder": "Имя, телефон, компания, сделка", "search.nothing": "Ничего не найдено", "search.found": { one: "Найден {count}", few: "Найдено {count}", many: "Найдено {count}", other: "Найдено {count}" },

  "inspector.empty": "Нажмите что-нибудь: запросы появятся здесь.", "inspector.clear": "Очистить", "inspector.copy": "Копировать как curl", "inspector.copied": "Скопировано. CRM_URL и CRM_TOKEN задаёт `tools/crm env`.", "inspector.not_copied": "Браузер не даёт копировать: выделите текст.", "inspector.answer": "Ответ",
  "inspector.attempts": { one: "{count} попытка", few: "{count} попытки", many: "{count} попыток", other: "{count} попытки" },

  "bell.label": { one: "Уведомления: {count} новое", few: "Уведомления: {count} новых", many: "Уведомления: {count} новых", other: "Уведомления: {count} новых" }, "bell.title": "Уведомления", "bell.empty": "Ничего нового", "bell.read_all": "Прочитать все", "bell.read": "Прочитано", "bell.snooze": "Напомнить через час",

  "conflict.title": "Кто-то успел раньше", "conflict.both": "Те же поля изменили, пока вы правили. Какие значения оставить?", "conflict.apart": "Пока вы правили, изменили другие поля: ваши можно сохранить.", "conflict.field": "Поле", "conflict.theirs": "Сейчас", "conflict.yours": "У вас",
  "conflict.version": "Текущая версия: {version}", "conflict.save_mine": "Сохранить моё", "conflict.keep_theirs": "Оставить как есть", "conflict.deal": "«{title}» — изменения внёс(ла) {who} {when}. Ваш перенос не выполнен.", "conflict.stage_now": "Этап сейчас", "conflict.your_move": "Ваш перенос", "conflict.current_version": "Текущая версия",
  "conflict.move_anyway": "Всё равно перенести",

  "move.lost_title": "Почему проиграна «{title}»?", "move.to": "Перенести: {stage}", "move.fields_title": "Для этапа «{stage}» нужно ещё немного", "move.fields_text": "Заполните, и «{title}» пойдёт дальше.", "move.save_and_move": "Сохранить и перенести",

  "board.no_pipeline": "Воронки ещё нет", "board.whose": "Чьи сделки", "board.all": "Все", "board.mine": "Мои", "board.new": "Новая сделка", "board.empty_column": "Перетащите сделку сюда", "board.move": "Перенести", "board.moved": "{title}: теперь на этапе «{stage}»", "board.card": "{title}, {amount}, этап {stage}. Enter открывает, Shift со стрелкой переносит.", "board.rotting": "Слишком долго на этапе",

  "deal.lines": "Товары", "deal.total": "Сумма", "deal.visits": "Время на этапах",

  "leads.state": "Какие заявки", "leads.new": "Новые", "leads.accepted": "Принятые", "leads.declined": "Отклонённые", "leads.make": "Новая заявка", "leads.none_new": "Новых заявок нет", "leads.none_accepted": "Принятых заявок ещё нет", "leads.none_declined": "Отклонённых заявок нет", "leads.none_text": "Заявки с сайта появляются здесь сами.",
  "leads.accept": "Принять", "leads.decline": "Отклонить", "leads.link": "К сделке", "leads.reason": "Причина", "leads.accept_title": "Принять заявку: {name}", "leads.decline_title": "Отклонить «{title}»", "leads.link_title": "Добавить к имеющейся сделке", "leads.deal_title": "Название сделки",
  "leads.known_contact": "{name} уже есть: сделка будет у этого контакта.", "leads.new_contact": "Будет создан новый контакт.", "leads.accepted_one": "Принято: {title}", "leads.declined_one": "Отклонено", "leads.linked_one": "Добавлено к сделке",

  "contacts.name": "Имя", "contacts.kind": "Люди или компании", "contacts.people": "Люди", "contacts.companies": "Компании", "contacts.filter": "Искать в списке", "contacts.new_contact": "Новый контакт", "contacts.new_company": "Новая компания", "contacts.no_deals": "Сделок ещё нет",

  "card.pinned": "Закреплено", "card.open_deals": "Открыто: {sum}", "card.pin": "Закрепить", "card.unpin": "Открепить", "card.facts": "Сведения", "card.history": "История", "card.timeline": "Лента", "card.changes": "Изменения", "card.note": "Заметка для коллег", "card.no_changes": "Изменений ещё нет", "card.made": "Создание", "card.version": "версия {version}", "card.unread": { one: "{count} непрочитанное письмо", few: "{count} непрочитанных письма", many: "{count} непрочитанных писем", other: "{count} непрочитанного письма" }, "card.last_touch": "Последняя связь {when}",

  "timeline.empty": "Ещё ничего не произошло", "timeline.MESSAGE_IN": "Пришло письмо", "timeline.MESSAGE_OUT": "Отправлено письмо", "timeline.COMMENT": "Комментарий", "timeline.NOTE": "Заметка", "timeline.TASK": "Задача", "timeline.REMINDER": "Напоминание", "timeline.MOVED": "Новый этап", "timeline.WON": "Сделка выиграна", "timeline.LOST": "Сделка проиграна", "timeline.LEAD_ACCEPTED": "Заявка принята", "timeline.LEAD_DECLINED": "Заявка отклонена", "timeline.LEAD_LINKED": "Заявка добавлена к сделке",
  "timeline.HANDED_OVER": "{what}: новый ответственный", "timeline.CREATED": "{what}: создание", "timeline.CHANGED": "{what}: изменения", "timeline.DELETED": "{what}: удаление", "timeline.RESTORED": "{what}: восстановление", "timeline.UNSPECIFIED": "{what}",
  "state.QUEUED": "ждёт", "state.SENT": "отправлено", "state.DELIVERED": "доставлено", "state.BOUNCED": "отвергнуто", "state.FAILED": "не удалось", "state.UNKNOWN": "неизвестно", "state.RECEIVED": "получено", "state.CANCELLED": "отменено", "state.OPEN": "открыта", "state.IN_PROGRESS": "в работе", "state.OVERDUE": "просрочена", "state.DONE": "сделано", "state.DELETED": "удалено",

  "tasks.new": "Новая задача", "tasks.whose": "Чьи задачи", "tasks.mine": "Мои задачи", "tasks.counts": "Сколько задач", "tasks.overdue": "Просрочено", "tasks.today": "Сегодня", "tasks.later": "Позже", "tasks.undated": "Без срока", "tasks.done": "Сделано", "tasks.none": "На сегодня всё сделано", "tasks.none_text": "Новые задачи появятся здесь сами.", "tasks.none_here": "Открытых задач нет",
  "tasks.complete": "Сделано: {title}", "tasks.reopen": "Вернуть в работу: {title}", "tasks.completed": "Сделано: {title}", "tasks.put_off": "Отложено до {when}", "tasks.in_hour": "Через час", "tasks.in_three": "Через три часа", "tasks.tomorrow": "Завтра утром", "tasks.next_week": "Через неделю",

  "messages.state": "Какие переписки", "messages.open": "Открытые", "messages.waiting": "Ждут ответа", "messages.closed": "Готово", "messages.none": "Здесь переписок нет", "messages.choose": "Выберите переписку", "messages.no_subject": "(без темы)", "messages.write": "Написать", "messages.to": "Письмо: {name}", "messages.text": "Текст", "messages.send": "Отправить", "messages.queued": "Письмо в пути", "messages.close": "Завершить", "messages.reopen": "Открыть снова", "messages.internal": "для коллег", "messages.kind": "Ответ или комментарий", "messages.answer": "Ответ", "messages.comment": "Комментарий", "messages.answer_hint": "Это получит клиент. Ctrl+Enter отправляет.", "messages.comment_hint": "Это видят только коллеги.",
  "attach.add": "Приложить файлы", "attach.list": "Файлы к письму", "attach.remove": "Убрать {name}", "attach.too_much": "К письму можно приложить {count} файлов, вместе {size}", "attach.unnamed": "картинка", "attach.unreadable": "Не удалось прочитать {name}",

  "reports.period": "Период", "reports.quarter": "3 месяца", "reports.year": "12 месяцев", "reports.all": "Всё время", "reports.revenue": "Выручка", "reports.revenue_label": "Выручка по месяцам; те же числа в таблице ниже", "reports.total": "Всего", "reports.deals": { one: "{count} сделка", few: "{count} сделки", many: "{count} сделок", other: "{count} сделки" }, "reports.to_before": "к прошлому периоду", "reports.before": "Прошлый период", "reports.as_table": "Таблицей", "reports.month": "Месяц",
  "reports.funnel": "Воронка", "reports.won_of": "выиграно {won} из {all}", "reports.now": { one: "сейчас {count}", few: "сейчас {count}", many: "сейчас {count}", other: "сейчас {count}" }, "reports.further": "{percent} идут дальше", "reports.stays": "стоят {time}", "reports.lost_because": "Причины проигрыша:", "reports.no_reason": "без причины", "reports.best": "Больше всего выручки", "reports.by": "По чему", "reports.by_EMPLOYEE": "Кто", "reports.by_PRODUCT": "Товар", "reports.by_COUNTRY": "Страна", "reports.by_SOURCE": "Источник", "reports.none": "(нет)", "reports.nothing": "За этот период ничего нет",
  "reports.employees": "Сотрудники", "reports.deals_won": "Выиграно", "reports.deals_lost": "Проиграно", "reports.conversion": "Успех", "reports.moves": "Переносы", "reports.leads": "Заявки",

  "field.name": "Название", "field.title": "Название", "field.amount": "Сумма", "field.contact_id": "Контакт", "field.company_id": "Компания", "field.owner_id": "Ответственный", "field.team_id": "Команда", "field.expected_close_date": "Закрыть до", "field.source": "Источник", "field.tags": "Метки", "field.note": "Примечание", "field.create_time": "Создано", "field.update_time": "Изменено", "field.lost_reason": "Причина", "field.stage_id": "Этап", "field.pipeline_id": "Воронка", "field.status": "Состояние",
  "field.given_name": "Имя", "field.family_name": "Фамилия", "field.middle_name": "Отчество", "field.display_name": "Полное имя", "field.job_title": "Должность", "field.city": "Город", "field.region": "Регион", "field.country_code": "Страна", "field.language": "Язык", "field.birth_date": "Дата рождения", "field.lifecycle": "Отношение", "field.roles": "Роль", "field.phones": "Телефон", "field.emails": "Почта", "field.phone": "Телефон", "field.email": "Почта", "field.number": "Телефон", "field.address": "Почта", "field.addresses": "Адреса", "field.company_name": "Компания", "field.message": "Сообщение", "field.legal_name": "Юр. название", "field.tax_id": "ИНН", "field.industry": "Отрасль", "field.website": "Сайт",
  "field.quantity": "Количество", "field.unit_price": "Цена", "field.due_time": "Срок", "field.kind": "Вид", "field.description": "Описание", "field.deal_id": "Сделка", "field.subject": "Тема", "field.priority": "Важность", "field.won_time": "Выиграна", "field.lost_time": "Проиграна", "field.stage_enter_time": "На этапе с", "field.lines": "Товары",

  "enum.LEAD_STATUS_NEW": "Новая", "enum.LEAD_STATUS_ACCEPTED": "Принята", "enum.LEAD_STATUS_DECLINED": "Отклонена", "enum.LEAD_STATUS_LINKED": "Добавлена к сделке", "enum.DEAL_STATUS_OPEN": "Открыта", "enum.DEAL_STATUS_WON": "Выиграна", "enum.DEAL_STATUS_LOST": "Проиграна",
  "enum.LIFECYCLE_POTENTIAL": "Возможный", "enum.LIFECYCLE_PROSPECT": "Проявил интерес", "enum.LIFECYCLE_CUSTOMER": "Покупатель", "enum.LIFECYCLE_FORMER": "Бывший покупатель", "enum.ROLE_CUSTOMER": "Покупатель", "enum.ROLE_SUPPLIER": "Поставщик", "enum.ROLE_PARTNER": "Партнёр",
  "enum.TASK_KIND_CALL": "Звонок", "enum.TASK_KIND_LETTER": "Письмо", "enum.TASK_KIND_MEETING": "Встреча", "enum.TASK_KIND_TODO": "Дело", "enum.TASK_PRIORITY_LOW": "Низкая", "enum.TASK_PRIORITY_NORMAL": "Обычная", "enum.TASK_PRIORITY_HIGH": "Высокая", "enum.TASK_PRIORITY_URGENT": "Срочно",
  "enum.MESSAGE_STATUS_QUEUED": "Ждёт отправки", "enum.MESSAGE_STATUS_SENDING": "Отправляется", "enum.MESSAGE_STATUS_SENT": "Отправлено", "enum.MESSAGE_STATUS_DELIVERED": "Доставлено", "enum.MESSAGE_STATUS_BOUNCED": "Отвергнуто", "enum.MESSAGE_STATUS_FAILED": "Не удалось", "enum.MESSAGE_STATUS_UNKNOWN": "Возможно, отправлено: ответ сервера потерян", "enum.MESSAGE_STATUS_BLOCKED": "Не разрешено", "enum.MESSAGE_STATUS_RECEIVED": "Получено", "enum.MESSAGE_STATUS_CANCELLED": "Отозвано", "enum.MESSAGE_STATUS_POSTED": "Записано",
};
