#include "services/scheduler/rules/texts.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <array>
#include <cstdlib>

namespace crm::scheduler {

namespace texts {

constexpr std::array<const char*, 4> kLanguages = {"en", "ru", "he", "yi"};
using Line = std::array<const char*, 4>;

// In the order of Say.
constexpr std::array<Line, 16> kSentences = {{
    {"New task: $0", "Новая задача: $0", "משימה חדשה: $0", "נײַע אויפֿגאַבע: $0"},
    {"Due now: $0", "Пора: $0", "הגיע הזמן: $0", "ס׳איז צײַט: $0"},
    {"In $1: $0", "Через $1: $0", "בעוד $1: $0", "אין $1: $0"},
    {"Overdue: $0", "Просрочено: $0", "באיחור: $0", "פֿאַרשפּעטיקט: $0"},
    {"$0 is late: $1", "$0 опаздывает: $1", "$0 מאחר: $1", "$0 פֿאַרשפּעטיקט: $1"},
    {"Done: $0", "Выполнено: $0", "בוצע: $0", "געטאָן: $0"},
    {"Cancelled: $0", "Отменено: $0", "בוטל: $0", "אָפּגעזאָגט: $0"},
    {"For $0", "Вместо: $0", "במקום $0", "אַנשטאָט $0"},
    {"$0 asks for days off: $1", "$0 просит отпуск: $1", "$0 מבקש חופשה: $1", "$0 בעט פֿרײַע טעג: $1"},
    {"$0 is ill: $1", "$0 болеет: $1", "$0 חולה: $1", "$0 איז קראַנק: $1"},
    {"Your days off are granted: $0", "Отпуск одобрен: $0", "החופשה אושרה: $0", "די פֿרײַע טעג זענען באַשטעטיקט: $0"},
    {"Your days off are refused: $0", "Отпуск отклонён: $0", "החופשה נדחתה: $0", "די פֿרײַע טעג זענען אָפּגעוואָרפֿן: $0"},
    {"New lead: $0", "Новая заявка: $0", "פנייה חדשה: $0", "נײַע פֿאָדערונג: $0"},
    {"Your deal now: $0", "Теперь ваша сделка: $0", "העסקה עברה אליך: $0", "דער געשעפֿט איז איצט אײַערער: $0"},
    {"New letter: $0", "Новое письмо: $0", "מכתב חדש: $0", "נײַער בריוו: $0"},
    {"You were mentioned: $0", "Вас упомянули: $0", "הוזכרת: $0", "מען האָט אײַך דערמאָנט: $0"},
}};

size_t IndexOf(const std::string& language) {
  for (size_t i = 0; i < kLanguages.size(); ++i) {
    if (language == kLanguages[i]) return i;
  }
  return 0;
}

// One, few (Russian's 2 to 4, Hebrew's dual), many.
struct Forms {
  const char *one, *few, *many;
};
// By unit, then by language.
constexpr std::array<std::array<Forms, 4>, 3> kUnits = {{
    {{{"minute", "minutes", "minutes"},
      {"минута", "минуты", "минут"},
      {"דקה", "דקות", "דקות"},
      {"מינוט", "מינוט", "מינוט"}}},
    {{{"hour", "hours", "hours"}, {"час", "часа", "часов"}, {"שעה", "שעתיים", "שעות"}, {"שעה", "שעה", "שעה"}}},
    {{{"day", "days", "days"}, {"день", "дня", "дней"}, {"יום", "יומיים", "ימים"}, {"טאָג", "טעג", "טעג"}}},
}};

}  // namespace texts

std::string Sentence(Say what, const std::vector<std::string>& arguments, const std::string& language) {
  const std::string text = texts::kSentences[static_cast<size_t>(what)][texts::IndexOf(language)];
  std::vector<std::pair<std::string, std::string>> values;
  for (size_t i = 0; i < arguments.size(); ++i) values.emplace_back(absl::StrCat("$", i), arguments[i]);
  return absl::StrReplaceAll(text, values);
}

std::string Amount(int count, Unit unit, const std::string& language) {
  const size_t index = texts::IndexOf(language);
  const texts::Forms& forms = texts::kUnits[static_cast<size_t>(unit)][index];
  const int last = count % 10, last_two = count % 100;
  if (language == "ru") {
    const bool teen = last_two >= 11 && last_two <= 14;
    return absl::StrCat(count, " ",
                        teen                     ? forms.many
                        : last == 1              ? forms.one
                        : last >= 2 && last <= 4 ? forms.few
                                                 : forms.many);
  }
  if (language == "he") {
    if (count == 1) return forms.one;
    if (count == 2 && unit != Unit::kMinute) return forms.few;
    return absl::StrCat(count, " ", forms.many);
  }
  return absl::StrCat(count, " ", count == 1 ? forms.one : forms.many);
}

std::string OverdueText(const v1::Overdue& overdue, const std::string& language) {
  constexpr texts::Line kLate = {"overdue", "просрочено", "באיחור", "פֿאַרשפּעטיקט"};
  constexpr texts::Line kLateBy = {"$0 overdue", "просрочено на $0", "באיחור של $0", "פֿאַרשפּעטיקט מיט $0"};
  const size_t index = texts::IndexOf(language);
  std::string amount;
  if (overdue.working_days() > 0) {
    amount = Amount(overdue.working_days(), Unit::kDay, language);
  } else if (overdue.working_minutes() >= 60) {
    amount = Amount(overdue.working_minutes() / 60, Unit::kHour, language);
  } else if (overdue.working_minutes() > 0) {
    amount = Amount(overdue.working_minutes(), Unit::kMinute, language);
  } else {
    return kLate[index];
  }
  return absl::StrReplaceAll(kLateBy[index], {{"$0", amount}});
}

}  // namespace crm::scheduler
