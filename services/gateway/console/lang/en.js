// English. The other dictionaries have the same keys; {one, few, many, other} are chosen by `count`.
export default {
  "loading": "Loading", "close": "Close", "cancel": "Cancel", "save": "Save", "create": "Create", "edit": "Edit", "remove": "Remove", "retry": "Try again", "more": "Show more", "open": "Open", "back": "Back",
  "undo": "Undo", "yes": "yes", "no": "no", "currency": "Currency", "somebody": "Somebody", "automation": "Automation", "type_to_find": "Type to find", "request_id": "Request", "skip": "Skip to content", "sign_out": "Sign out",
  "hidden": "not visible to you",
  "days": { one: "{count} day", other: "{count} days" },

  "error.offline": "The server does not answer. Nothing is lost: try again.", "error.not_found": "This does not exist, or you may not see it.",

  "sign_in.title": "Sign in to CRM", "sign_in.password": "Password", "sign_in.enter": "Sign in", "sign_in.demo": "Or look around as", "sign_in.wrong": "E-mail or password is wrong.",
  "role.manager": "Manager: own deals", "role.head": "Head of sales: the team", "role.administrator": "Administrator: everything",

  "nav.label": "Screens", "nav.today": "Today", "nav.leads": "Leads", "nav.deals": "Deals", "nav.contacts": "Contacts", "nav.companies": "Companies", "nav.messages": "Messages", "nav.reports": "Reports", "nav.requests": "Requests", "nav.settings": "Settings", "nav.tasks": "Tasks",
  "live.live": "Live", "live.opening": "Connecting", "live.off": "Offline",

  "settings.of": "Settings of {name}", "settings.language": "Language", "settings.theme": "Colours", "settings.auto": "As the system", "settings.light": "Light", "settings.dark": "Dark", "settings.rights": "What you may see", "settings.keys": "Keys",
  "settings.key_screens": "Screens", "settings.key_cards": "From card to card", "settings.key_move": "Move the card to another stage",
  "scope.SCOPE_ALL": "everything", "scope.SCOPE_TEAM": "the team's", "scope.SCOPE_OWN": "your own", "scope.NONE": "nothing",
  "object.deal": "Deal", "object.lead": "Lead", "object.contact": "Contact", "object.company": "Company", "object.task": "Task", "object.conversation": "Conversation", "object.report": "Reports", "object.note": "Note", "object.message": "Letter", "object.reminder": "Reminder",

  "search.label": "Search", "search.placeholder": "Name, phone, company, deal", "search.nothing": "Nothing found", "search.found": { one: "{count} found", other: "{count} found" },

  "inspector.empty": "Click anything: its requests appear here.", "inspector.clear": "Clear", "inspector.copy": "Copy as curl", "inspector.copied": "Copied. `tools/crm env` sets CRM_URL and CRM_TOKEN.", "inspector.not_copied": "The browser does not allow copying here: select the text instead.", "inspector.answer": "Answer",
  "inspector.attempts": { one: "{count} attempt", other: "{count} attempts" },

  "bell.label": { one: "Notifications: {count} unread", other: "Notifications: {count} unread" }, "bell.title": "Notifications", "bell.empty": "Nothing new", "bell.read_all": "Mark all as read", "bell.read": "Mark as read", "bell.snooze": "Again in an hour",

  "conflict.title": "Somebody was faster", "conflict.both": "The same fields were changed meanwhile. Which values shall stay?", "conflict.apart": "Other fields were changed meanwhile: yours can still be saved.", "conflict.field": "Field", "conflict.theirs": "Now", "conflict.yours": "Yours",
  "conflict.version": "Current version: {version}", "conflict.save_mine": "Save mine", "conflict.keep_theirs": "Keep it as it is", "conflict.deal": "“{title}” was changed by {who} {when}. Your move was not made.", "conflict.stage_now": "Stage now", "conflict.your_move": "Your move", "conflict.current_version": "Current version",
  "conflict.move_anyway": "Move it anyway",

  "move.lost_title": "Why is “{title}” lost?", "move.to": "Move to {stage}", "move.fields_title": "{stage} needs a little more", "move.fields_text": "Fill this in and “{title}” goes on.", "move.save_and_move": "Save and move",

  "board.no_pipeline": "There is no pipeline yet", "board.whose": "Whose deals", "board.all": "All", "board.mine": "Mine", "board.new": "New deal", "board.empty_column": "Drop a deal here", "board.move": "Move", "board.moved": "{title}: moved to {stage}", "board.card": "{title}, {amount}, stage {stage}. Enter opens it, Shift with an arrow moves it.", "board.rotting": "Has been here for too long",

  "deal.lines": "Products", "deal.total": "Total", "deal.visits": "Time in stages",

  "leads.state": "Which leads", "leads.new": "New", "leads.accepted": "Accepted", "leads.declined": "Declined", "leads.make": "New lead", "leads.none_new": "The inbox is empty", "leads.none_accepted": "No lead has been accepted yet", "leads.none_declined": "No lead has been declined", "leads.none_text": "Requests from web forms appear here by themselves.",
  "leads.accept": "Accept", "leads.decline": "Decline", "leads.link": "Add to a deal", "leads.reason": "Reason", "leads.accept_title": "Accept the request of {name}", "leads.decline_title": "Decline “{title}”", "leads.link_title": "Add to a deal that is there already", "leads.deal_title": "Name of the deal",
  "leads.known_contact": "{name} is known: the deal goes to this contact.", "leads.new_contact": "A new contact is made.", "leads.accepted_one": "Accepted: {title}", "leads.declined_one": "Declined", "leads.linked_one": "Added to the deal",

  "contacts.name": "Name", "contacts.kind": "People or companies", "contacts.people": "People", "contacts.companies": "Companies", "contacts.filter": "Search in this list", "contacts.new_contact": "New contact", "contacts.new_company": "New company", "contacts.no_deals": "No deals yet",

  "card.pinned": "Kept on top", "card.open_deals": "Open: {sum}", "card.pin": "Keep on top", "card.unpin": "Do not keep on top", "card.facts": "Details", "card.history": "History", "card.timeline": "Timeline", "card.changes": "Changes", "card.note": "Write a note for colleagues", "card.no_changes": "No changes yet", "card.made": "Made", "card.version": "version {version}", "card.unread": { one: "{count} unread letter", other: "{count} unread letters" }, "card.last_touch": "Last in touch {when}",

  "timeline.empty": "Nothing has happened yet", "timeline.MESSAGE_IN": "Letter received", "timeline.MESSAGE_OUT": "Letter sent", "timeline.COMMENT": "Comment", "timeline.NOTE": "Note", "timeline.TASK": "Task", "timeline.REMINDER": "Reminder", "timeline.MOVED": "Stage changed", "timeline.WON": "Deal won", "timeline.LOST": "Deal lost", "timeline.LEAD_ACCEPTED": "Lead accepted", "timeline.LEAD_DECLINED": "Lead declined", "timeline.LEAD_LINKED": "Lead added to the deal",
  "timeline.HANDED_OVER": "{what}: handed over", "timeline.CREATED": "{what}: made", "timeline.CHANGED": "{what}: changed", "timeline.DELETED": "{what}: deleted", "timeline.RESTORED": "{what}: restored", "timeline.UNSPECIFIED": "{what}",
  "state.QUEUED": "waiting", "state.SENT": "sent", "state.DELIVERED": "delivered", "state.BOUNCED": "refused", "state.FAILED": "failed", "state.UNKNOWN": "unknown", "state.RECEIVED": "received", "state.CANCELLED": "cancelled", "state.OPEN": "open", "state.IN_PROGRESS": "in progress", "state.OVERDUE": "overdue", "state.DONE": "done", "state.DELETED": "deleted",

  "tasks.new": "New task", "tasks.whose": "Whose tasks", "tasks.mine": "My tasks", "tasks.counts": "How many tasks", "tasks.overdue": "Overdue", "tasks.today": "Today", "tasks.later": "Later", "tasks.undated": "No date", "tasks.done": "Done today", "tasks.none": "All done for today", "tasks.none_text": "New tasks appear here by themselves.", "tasks.none_here": "No open tasks",
  "tasks.complete": "Done: {title}", "tasks.reopen": "Take up again: {title}", "tasks.completed": "Done: {title}", "tasks.put_off": "Put off until {when}", "tasks.in_hour": "In an hour", "tasks.in_three": "In three hours", "tasks.tomorrow": "Tomorrow morning", "tasks.next_week": "In a week",

  "messages.state": "Which conversations", "messages.open": "Open", "messages.waiting": "Waiting for us", "messages.closed": "Done", "messages.none": "No conversations here", "messages.choose": "Choose a conversation", "messages.no_subject": "(no subject)", "messages.write": "Write", "messages.to": "Letter to {name}", "messages.text": "Text", "messages.send": "Send", "messages.queued": "On its way", "messages.close": "Done", "messages.reopen": "Open again", "messages.internal": "for colleagues", "messages.kind": "Answer or comment", "messages.answer": "Answer", "messages.comment": "Comment", "messages.answer_hint": "The customer gets this. Ctrl+Enter sends.", "messages.comment_hint": "Only colleagues see this.",
  "attach.add": "Attach files", "attach.list": "Files to be sent", "attach.remove": "Take back {name}", "attach.too_much": "A letter takes {count} files, {size} together", "attach.unnamed": "picture", "attach.unreadable": "{name} cannot be read",

  "reports.period": "Period", "reports.quarter": "3 months", "reports.year": "12 months", "reports.all": "All time", "reports.revenue": "Revenue", "reports.revenue_label": "Revenue by month; the same numbers are in the table below", "reports.total": "Total", "reports.deals": { one: "{count} deal", other: "{count} deals" }, "reports.to_before": "to the period before", "reports.before": "Period before", "reports.as_table": "As a table", "reports.month": "Month",
  "reports.funnel": "Funnel", "reports.won_of": "{won} of {all} won", "reports.now": { one: "{count} now", other: "{count} now" }, "reports.further": "{percent} go on", "reports.stays": "stays {time}", "reports.lost_because": "Lost because:", "reports.no_reason": "no reason", "reports.best": "Most revenue", "reports.by": "By what", "reports.by_EMPLOYEE": "Who", "reports.by_PRODUCT": "Product", "reports.by_COUNTRY": "Country", "reports.by_SOURCE": "Source", "reports.none": "(none)", "reports.nothing": "Nothing in this period",
  "reports.employees": "People", "reports.deals_won": "Won", "reports.deals_lost": "Lost", "reports.conversion": "Success", "reports.moves": "Moves", "reports.leads": "Leads",

  "field.name": "Name", "field.title": "Name", "field.amount": "Amount", "field.contact_id": "Contact", "field.company_id": "Company", "field.owner_id": "Responsible", "field.team_id": "Team", "field.expected_close_date": "Expected close", "field.source": "Source", "field.tags": "Tags", "field.note": "Note", "field.create_time": "Made", "field.update_time": "Changed", "field.lost_reason": "Reason", "field.stage_id": "Stage", "field.pipeline_id": "Pipeline", "field.status": "Status",
  "field.given_name": "Given name", "field.family_name": "Family name", "field.middle_name": "Middle name", "field.display_name": "Shown name", "field.job_title": "Position", "field.city": "City", "field.region": "Region", "field.country_code": "Country", "field.language": "Language", "field.birth_date": "Date of birth", "field.lifecycle": "Relation", "field.roles": "Role", "field.phones": "Phone", "field.emails": "E-mail", "field.phone": "Phone", "field.email": "E-mail", "field.number": "Phone", "field.address": "E-mail", "field.addresses": "Addresses", "field.company_name": "Company", "field.message": "Message", "field.legal_name": "Legal name", "field.tax_id": "Tax number", "field.industry": "Industry", "field.website": "Web site",
  "field.quantity": "Quantity", "field.unit_price": "Price", "field.due_time": "Due", "field.kind": "Kind", "field.description": "Description", "field.deal_id": "Deal", "field.subject": "Subject", "field.priority": "Priority", "field.won_time": "Won", "field.lost_time": "Lost", "field.stage_enter_time": "In this stage since", "field.lines": "Products",

  "enum.LEAD_STATUS_NEW": "New", "enum.LEAD_STATUS_ACCEPTED": "Accepted", "enum.LEAD_STATUS_DECLINED": "Declined", "enum.LEAD_STATUS_LINKED": "Added to a deal", "enum.DEAL_STATUS_OPEN": "Open", "enum.DEAL_STATUS_WON": "Won", "enum.DEAL_STATUS_LOST": "Lost",
  "enum.LIFECYCLE_POTENTIAL": "Potential", "enum.LIFECYCLE_PROSPECT": "Interested", "enum.LIFECYCLE_CUSTOMER": "Customer", "enum.LIFECYCLE_FORMER": "Former customer", "enum.ROLE_CUSTOMER": "Customer", "enum.ROLE_SUPPLIER": "Supplier", "enum.ROLE_PARTNER": "Partner",
  "enum.TASK_KIND_CALL": "Call", "enum.TASK_KIND_LETTER": "Letter", "enum.TASK_KIND_MEETING": "Meeting", "enum.TASK_KIND_TODO": "To do", "enum.TASK_PRIORITY_LOW": "Low", "enum.TASK_PRIORITY_NORMAL": "Normal", "enum.TASK_PRIORITY_HIGH": "High", "enum.TASK_PRIORITY_URGENT": "Urgent",
  "enum.MESSAGE_STATUS_QUEUED": "Waiting to be sent", "enum.MESSAGE_STATUS_SENDING": "Being sent", "enum.MESSAGE_STATUS_SENT": "Sent", "enum.MESSAGE_STATUS_DELIVERED": "Delivered", "enum.MESSAGE_STATUS_BOUNCED": "Refused", "enum.MESSAGE_STATUS_FAILED": "Failed", "enum.MESSAGE_STATUS_UNKNOWN": "Perhaps sent: the server's answer was lost", "enum.MESSAGE_STATUS_BLOCKED": "Not allowed", "enum.MESSAGE_STATUS_RECEIVED": "Received", "enum.MESSAGE_STATUS_CANCELLED": "Taken back", "enum.MESSAGE_STATUS_POSTED": "Posted",
};
