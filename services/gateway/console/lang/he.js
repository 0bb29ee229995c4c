// עברית. אותם מפתחות כמו ב־en.js.
export default {
  "loading": "טוען", "close": "סגירה", "cancel": "ביטול", "save": "שמירה", "create": "יצירה", "edit": "עריכה", "remove": "הסרה", "retry": "לנסות שוב", "more": "להציג עוד", "open": "לפתוח", "back": "חזרה",
  "undo": "ביטול הפעולה", "yes": "כן", "no": "לא", "currency": "מטבע", "somebody": "מישהו", "automation": "אוטומציה", "type_to_find": "להקליד כדי למצוא", "request_id": "בקשה", "skip": "לתוכן", "sign_out": "יציאה",
  "hidden": "לא גלוי לך",
  "days": { one: "יום", two: "יומיים", other: "{count} ימים" },

  "error.offline": "השרת אינו עונה. דבר לא אבד: נסו שוב.", "error.not_found": "לא קיים, או שאין לך הרשאה לראות.",

  "sign_in.title": "כניסה ל־CRM", "sign_in.password": "סיסמה", "sign_in.enter": "כניסה", "sign_in.demo": "או להתרשם בתור", "sign_in.wrong": "הדוא״ל או הסיסמה שגויים.",
  "role.manager": "איש מכירות: העסקאות שלו", "role.head": "מנהל מכירות: הצוות", "role.administrator": "מנהל מערכת: הכול",

  "nav.label": "מסכים", "nav.today": "היום", "nav.leads": "פניות", "nav.deals": "עסקאות", "nav.contacts": "אנשי קשר", "nav.companies": "חברות", "nav.messages": "מכתבים", "nav.reports": "דוחות", "nav.requests": "בקשות", "nav.settings": "הגדרות", "nav.tasks": "משימות",
  "live.live": "מחובר", "live.opening": "מתחבר", "live.off": "מנותק",

  "settings.of": "ההגדרות של {name}", "settings.language": "שפה", "settings.theme": "צבעים", "settings.auto": "כמו במערכת", "settings.light": "בהיר", "settings.dark": "כהה", "settings.rights": "מה מותר לך לראות", "settings.keys": "מקשים",
  "settings.key_screens": "מסכים", "settings.key_cards": "מכרטיס לכרטיס", "settings.key_move": "להעביר את הכרטיס לשלב אחר",
  "scope.SCOPE_ALL": "הכול", "scope.SCOPE_TEAM": "של הצוות", "scope.SCOPE_OWN": "רק שלך", "scope.NONE": "כלום",
  "object.deal": "עסקה", "object.lead": "פנייה", "object.contact": "איש קשר", "object.company": "חברה", "object.task": "משימה", "object.conversation": "התכתבות", "object.report": "דוחות", "object.note": "הערה", "object.message": "מכתב", "object.reminder": "תזכורת",

  "search.label": "חיפוש", "search.placeholder": "שם, טלפון, חברה, עסקה", "search.nothing": "לא נמצא דבר", "search.found": { one: "נמצא אחד", other: "נמצאו {count}" },

  "inspector.empty": "לחצו על משהו: הבקשות יופיעו כאן.", "inspector.clear": "ניקוי", "inspector.copy": "להעתיק כ־curl", "inspector.copied": "הועתק. ‏`tools/crm env` קובע את CRM_URL ואת CRM_TOKEN.", "inspector.not_copied": "הדפדפן אינו מרשה להעתיק: סמנו את הטקסט.", "inspector.answer": "תשובה",
  "inspector.attempts": { one: "ניסיון אחד", other: "{count} ניסיונות" },

  "bell.label": { one: "התראות: אחת שלא נקראה", other: "התראות: {count} שלא נקראו" }, "bell.title": "התראות", "bell.empty": "אין חדש", "bell.read_all": "לסמן הכול כנקרא", "bell.read": "נקרא", "bell.snooze": "שוב בעוד שעה",

  "conflict.title": "מישהו הקדים אותך", "conflict.both": "אותם שדות השתנו בינתיים. אילו ערכים יישארו?", "conflict.apart": "שדות אחרים השתנו בינתיים: את שלך עדיין אפשר לשמור.", "conflict.field": "שדה", "conflict.theirs": "עכשיו", "conflict.yours": "שלך",
  "conflict.version": "הגרסה הנוכחית: {version}", "conflict.save_mine": "לשמור את שלי", "conflict.keep_theirs": "להשאיר כמו שזה", "conflict.deal": "”{title}“ השתנתה בידי {who} {when}. ההעברה שלך לא בוצעה.", "conflict.stage_now": "השלב עכשיו", "conflict.your_move": "ההעברה שלך", "conflict.current_version": "הגרסה הנוכחית",
  "conflict.move_anyway": "להעביר בכל זאת",

  "move.lost_title": "למה אבדה ”{title}“?", "move.to": "להעביר אל {stage}", "move.fields_title": "השלב {stage} דורש עוד קצת", "move.fields_text": "מלאו את זה ו”{title}“ תמשיך הלאה.", "move.save_and_move": "לשמור ולהעביר",

  "board.no_pipeline": "אין עדיין צינור מכירות", "board.whose": "העסקאות של מי", "board.all": "הכול", "board.mine": "שלי", "board.new": "עסקה חדשה", "board.empty_column": "לגרור לכאן עסקה", "board.move": "להעביר", "board.moved": "{title}: הועברה אל {stage}", "board.card": "{title}, {amount}, שלב {stage}. ‏Enter פותח, Shift עם חץ מעביר.", "board.rotting": "נמצאת כאן זמן רב מדי",

  "deal.lines": "מוצרים", "deal.total": "סכום", "deal.visits": "זמן בשלבים",

  "leads.state": "אילו פניות", "leads.new": "חדשות", "leads.accepted": "התקבלו", "leads.declined": "נדחו", "leads.make": "פנייה חדשה", "leads.none_new": "אין פניות חדשות", "leads.none_accepted": "עדיין לא התקבלו פניות", "leads.none_declined": "אין פניות שנדחו", "leads.none_text": "פניות מטפסים באתר מופיעות כאן מעצמן.",
  "leads.accept": "לקבל", "leads.decline": "לדחות", "leads.link": "להוסיף לעסקה", "leads.reason": "סיבה", "leads.accept_title": "לקבל את הפנייה של {name}", "leads.decline_title": "לדחות את ”{title}“", "leads.link_title": "להוסיף לעסקה קיימת", "leads.deal_title": "שם העסקה",
  "leads.known_contact": "{name} כבר מוכר: העסקה תהיה של איש הקשר הזה.", "leads.new_contact": "ייווצר איש קשר חדש.", "leads.accepted_one": "התקבלה: {title}", "leads.declined_one": "נדחתה", "leads.linked_one": "נוספה לעסקה",

  "contacts.name": "שם", "contacts.kind": "אנשים או חברות", "contacts.people": "אנשים", "contacts.companies": "חברות", "contacts.filter": "חיפוש ברשימה", "contacts.new_contact": "איש קשר חדש", "contacts.new_company": "חברה חדשה", "contacts.no_deals": "אין עדיין עסקאות",

  "card.pinned": "נעוץ", "card.open_deals": "פתוח: {sum}", "card.pin": "לנעוץ", "card.unpin": "לבטל נעיצה", "card.facts": "פרטים", "card.history": "היסטוריה", "card.timeline": "ציר הזמן", "card.changes": "שינויים", "card.note": "הערה לעמיתים", "card.no_changes": "אין עדיין שינויים", "card.made": "נוצר", "card.version": "גרסה {version}", "card.unread": { one: "מכתב אחד שלא נקרא", other: "{count} מכתבים שלא נקראו" }, "card.last_touch": "קשר אחרון {when}",

  "timeline.empty": "עדיין לא קרה דבר", "timeline.MESSAGE_IN": "התקבל מכתב", "timeline.MESSAGE_OUT": "נשלח מכתב", "timeline.COMMENT": "תגובה", "timeline.NOTE": "הערה", "timeline.TASK": "משימה", "timeline.REMINDER": "תזכורת", "timeline.MOVED": "שלב חדש", "timeline.WON": "העסקה נסגרה בהצלחה", "timeline.LOST": "העסקה אבדה", "timeline.LEAD_ACCEPTED": "הפנייה התקבלה", "timeline.LEAD_DECLINED": "הפנייה נדחתה", "timeline.LEAD_LINKED": "הפנייה נוספה לעסקה",
  "timeline.HANDED_OVER": "{what}: אחראי חדש", "timeline.CREATED": "{what}: יצירה", "timeline.CHANGED": "{what}: שינוי", "timeline.DELETED": "{what}: מחיקה", "timeline.RESTORED": "{what}: שחזור", "timeline.UNSPECIFIED": "{what}",
  "state.QUEUED": "ממתין", "state.SENT": "נשלח", "state.DELIVERED": "נמסר", "state.BOUNCED": "נדחה", "state.FAILED": "נכשל", "state.UNKNOWN": "לא ידוע", "state.RECEIVED": "התקבל", "state.CANCELLED": "בוטל", "state.OPEN": "פתוחה", "state.IN_PROGRESS": "בעבודה", "state.OVERDUE": "באיחור", "state.DONE": "בוצע", "state.DELETED": "נמחק",

  "tasks.new": "משימה חדשה", "tasks.whose": "המשימות של מי", "tasks.mine": "המשימות שלי", "tasks.counts": "כמה משימות", "tasks.overdue": "באיחור", "tasks.today": "היום", "tasks.later": "בהמשך", "tasks.undated": "בלי תאריך", "tasks.done": "בוצעו היום", "tasks.none": "הכול נעשה להיום", "tasks.none_text": "משימות חדשות יופיעו כאן מעצמן.", "tasks.none_here": "אין משימות פתוחות",
  "tasks.complete": "בוצע: {title}", "tasks.reopen": "להחזיר לעבודה: {title}", "tasks.completed": "בוצע: {title}", "tasks.put_off": "נדחה עד {when}", "tasks.in_hour": "בעוד שעה", "tasks.in_three": "בעוד שלוש שעות", "tasks.tomorrow": "מחר בבוקר", "tasks.next_week": "בעוד שבוע",

  "messages.state": "אילו התכתבויות", "messages.open": "פתוחות", "messages.waiting": "מחכות לנו", "messages.closed": "הסתיימו", "messages.none": "אין כאן התכתבויות", "messages.choose": "בחרו התכתבות", "messages.no_subject": "(בלי נושא)", "messages.write": "לכתוב", "messages.to": "מכתב אל {name}", "messages.text": "טקסט", "messages.send": "לשלוח", "messages.queued": "המכתב בדרך", "messages.close": "לסיים", "messages.reopen": "לפתוח שוב", "messages.internal": "לעמיתים", "messages.kind": "תשובה או תגובה", "messages.answer": "תשובה", "messages.comment": "תגובה", "messages.answer_hint": "הלקוח יקבל את זה. ‏Ctrl+Enter שולח.", "messages.comment_hint": "רק עמיתים רואים את זה.",
  "attach.add": "לצרף קבצים", "attach.list": "קבצים למכתב", "attach.remove": "להסיר את {name}", "attach.too_much": "אפשר לצרף למכתב {count} קבצים, {size} בסך הכול", "attach.unnamed": "תמונה", "attach.unreadable": "אי אפשר לקרוא את {name}",

  "reports.period": "תקופה", "reports.quarter": "3 חודשים", "reports.year": "12 חודשים", "reports.all": "כל הזמן", "reports.revenue": "הכנסות", "reports.revenue_label": "הכנסות לפי חודש; אותם מספרים בטבלה למטה", "reports.total": "סך הכול", "reports.deals": { one: "עסקה אחת", two: "שתי עסקאות", other: "{count} עסקאות" }, "reports.to_before": "לעומת התקופה הקודמת", "reports.before": "התקופה הקודמת", "reports.as_table": "כטבלה", "reports.month": "חודש",
  "reports.funnel": "משפך", "reports.won_of": "{won} מתוך {all} נסגרו בהצלחה", "reports.now": { one: "{count} עכשיו", other: "{count} עכשיו" }, "reports.further": "{percent} ממשיכות", "reports.stays": "שוהות {time}", "reports.lost_because": "סיבות לאובדן:", "reports.no_reason": "בלי סיבה", "reports.best": "הכי הרבה הכנסות", "reports.by": "לפי מה", "reports.by_EMPLOYEE": "מי", "reports.by_PRODUCT": "מוצר", "reports.by_COUNTRY": "ארץ", "reports.by_SOURCE": "מקור", "reports.none": "(אין)", "reports.nothing": "אין דבר בתקופה הזאת",
  "reports.employees": "אנשים", "reports.deals_won": "נסגרו", "reports.deals_lost": "אבדו", "reports.conversion": "הצלחה", "reports.moves": "העברות", "reports.leads": "פניות",

  "field.name": "שם", "field.title": "שם", "field.amount": "סכום", "field.contact_id": "איש קשר", "field.company_id": "חברה", "field.owner_id": "אחראי", "field.team_id": "צוות", "field.expected_close_date": "סגירה צפויה", "field.source": "מקור", "field.tags": "תגיות", "field.note": "הערה", "field.create_time": "נוצר", "field.update_time": "השתנה", "field.lost_reason": "סיבה", "field.stage_id": "שלב", "field.pipeline_id": "צינור מכירות", "field.status": "מצב",
  "field.given_name": "שם פרטי", "field.family_name": "שם משפחה", "field.middle_name": "שם אמצעי", "field.display_name": "שם מוצג", "field.job_title": "תפקיד", "field.city": "עיר", "field.region": "אזור", "field.country_code": "ארץ", "field.language": "שפה", "field.birth_date": "תאריך לידה", "field.lifecycle": "יחס", "field.roles": "תפקיד", "field.phones": "טלפון", "field.emails": "דוא״ל", "field.phone": "טלפון", "field.email": "דוא״ל", "field.number": "טלפון", "field.address": "דוא״ל", "field.addresses": "כתובות", "field.company_name": "חברה", "field.message": "הודעה", "field.legal_name": "שם משפטי", "field.tax_id": "מספר עוסק", "field.industry": "ענף", "field.website": "אתר",
  "field.quantity": "כמות", "field.unit_price": "מחיר", "field.due_time": "מועד", "field.kind": "סוג", "field.description": "תיאור", "field.deal_id": "עסקה", "field.subject": "נושא", "field.priority": "עדיפות", "field.won_time": "נסגרה", "field.lost_time": "אבדה", "field.stage_enter_time": "בשלב מאז", "field.lines": "מוצרים",

  "enum.LEAD_STATUS_NEW": "חדשה", "enum.LEAD_STATUS_ACCEPTED": "התקבלה", "enum.LEAD_STATUS_DECLINED": "נדחתה", "enum.LEAD_STATUS_LINKED": "נוספה לעסקה", "enum.DEAL_STATUS_OPEN": "פתוחה", "enum.DEAL_STATUS_WON": "נסגרה בהצלחה", "enum.DEAL_STATUS_LOST": "אבדה",
  "enum.LIFECYCLE_POTENTIAL": "אפשרי", "enum.LIFECYCLE_PROSPECT": "מתעניין", "enum.LIFECYCLE_CUSTOMER": "לקוח", "enum.LIFECYCLE_FORMER": "לקוח לשעבר", "enum.ROLE_CUSTOMER": "לקוח", "enum.ROLE_SUPPLIER": "ספק", "enum.ROLE_PARTNER": "שותף",
  "enum.TASK_KIND_CALL": "שיחה", "enum.TASK_KIND_LETTER": "מכתב", "enum.TASK_KIND_MEETING": "פגישה", "enum.TASK_KIND_TODO": "לעשות", "enum.TASK_PRIORITY_LOW": "נמוכה", "enum.TASK_PRIORITY_NORMAL": "רגילה", "enum.TASK_PRIORITY_HIGH": "גבוהה", "enum.TASK_PRIORITY_URGENT": "דחוף",
  "enum.MESSAGE_STATUS_QUEUED": "ממתין לשליחה", "enum.MESSAGE_STATUS_SENDING": "נשלח עכשיו", "enum.MESSAGE_STATUS_SENT": "נשלח", "enum.MESSAGE_STATUS_DELIVERED": "נמסר", "enum.MESSAGE_STATUS_BOUNCED": "נדחה", "enum.MESSAGE_STATUS_FAILED": "נכשל", "enum.MESSAGE_STATUS_UNKNOWN": "אולי נשלח: תשובת השרת אבדה", "enum.MESSAGE_STATUS_BLOCKED": "לא מותר", "enum.MESSAGE_STATUS_RECEIVED": "התקבל", "enum.MESSAGE_STATUS_CANCELLED": "נמשך חזרה", "enum.MESSAGE_STATUS_POSTED": "נרשם",
};
