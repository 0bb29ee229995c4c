// Public holidays by rule: data only. Each country says where its rules come from; what a government decides year by year
// (Russia's exchanged Saturdays, a day of mourning) is not among them and is added to the calendar by hand.
#pragma once

#include <array>

namespace crm::scheduler {

enum class HolidayRule {
  kFixed,   // month, day
  kEaster,  // day: days after Western Easter Sunday
  kNth,     // month; day: the n-th (5: last) `weekday` (1 Monday)
  kHebrew,  // month: 1 Tishri .. 7 Adar (II), 8 Nisan, 9 Iyar, 10 Sivan ...; day
};

// What happens when it falls on a weekend.
enum class HolidayShift {
  kStays,
  kNextWorkday,      // the next day that is neither weekend nor holiday is free as well
  kNearestWorkday,   // Saturday: the Friday before; Sunday: the Monday after
  kIndependenceDay,  // Israel's: not next to a Sabbath
};

struct HolidayLine {
  const char* country;
  HolidayRule rule;
  int month;
  int day;
  int weekday;
  HolidayShift shift;
  const char* name;
};

struct HolidaySource {
  const char* country;
  const char* source;
};

inline constexpr std::array<HolidaySource, 4> kHolidaySources = {{
    {"DE",
     "The nine days that the holiday laws of all sixteen Länder share, and Art. 2 (2) Einigungsvertrag; days of single "
     "Länder are not included."},
    {"IL", "Law and Administration Ordinance 5708-1948, section 18A, and the Independence Day Law 5709-1949."},
    {"RU", "Labour Code of the Russian Federation, article 112; the government's yearly transfers are not included."},
    {"US", "5 U.S.C. 6103; what single states add is not included."},
}};

inline constexpr std::array<HolidayLine, 44> kHolidayLines = {{
    {"DE", HolidayRule::kFixed, 1, 1, 0, HolidayShift::kStays, "Neujahr"},
    {"DE", HolidayRule::kEaster, 0, -2, 0, HolidayShift::kStays, "Karfreitag"},
    {"DE", HolidayRule::kEaster, 0, 1, 0, HolidayShift::kStays, "Ostermontag"},
    {"DE", HolidayRule::kFixed, 5, 1, 0, HolidayShift::kStays, "Tag der Arbeit"},
    {"DE", HolidayRule::kEaster, 0, 39, 0, HolidayShift::kStays, "Christi Himmelfahrt"},
    {"DE", HolidayRule::kEaster, 0, 50, 0, HolidayShift::kStays, "Pfingstmontag"},
    {"DE", HolidayRule::kFixed, 10, 3, 0, HolidayShift::kStays, "Tag der Deutschen Einheit"},
    {"DE", HolidayRule::kFixed, 12, 25, 0, HolidayShift::kStays, "1. Weihnachtstag"},
    {"DE", HolidayRule::kFixed, 12, 26, 0, HolidayShift::kStays, "2. Weihnachtstag"},
    {"IL", HolidayRule::kHebrew, 1, 1, 0, HolidayShift::kStays, "ראש השנה"},
    {"IL", HolidayRule::kHebrew, 1, 2, 0, HolidayShift::kStays, "ראש השנה"},
    {"IL", HolidayRule::kHebrew, 1, 10, 0, HolidayShift::kStays, "יום כיפור"},
    {"IL", HolidayRule::kHebrew, 1, 15, 0, HolidayShift::kStays, "סוכות"},
    {"IL", HolidayRule::kHebrew, 1, 22, 0, HolidayShift::kStays, "שמיני עצרת"},
    {"IL", HolidayRule::kHebrew, 8, 15, 0, HolidayShift::kStays, "פסח"},
    {"IL", HolidayRule::kHebrew, 8, 21, 0, HolidayShift::kStays, "שביעי של פסח"},
    {"IL", HolidayRule::kHebrew, 9, 5, 0, HolidayShift::kIndependenceDay, "יום העצמאות"},
    {"IL", HolidayRule::kHebrew, 10, 6, 0, HolidayShift::kStays, "שבועות"},
    {"RU", HolidayRule::kFixed, 1, 1, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 1, 2, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 1, 3, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 1, 4, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 1, 5, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 1, 6, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 1, 7, 0, HolidayShift::kStays, "Рождество Христово"},
    {"RU", HolidayRule::kFixed, 1, 8, 0, HolidayShift::kStays, "Новогодние каникулы"},
    {"RU", HolidayRule::kFixed, 2, 23, 0, HolidayShift::kNextWorkday, "День защитника Отечества"},
    {"RU", HolidayRule::kFixed, 3, 8, 0, HolidayShift::kNextWorkday, "Международный женский день"},
    {"RU", HolidayRule::kFixed, 5, 1, 0, HolidayShift::kNextWorkday, "Праздник Весны и Труда"},
    {"RU", HolidayRule::kFixed, 5, 9, 0, HolidayShift::kNextWorkday, "День Победы"},
    {"RU", HolidayRule::kFixed, 6, 12, 0, HolidayShift::kNextWorkday, "День России"},
    {"RU", HolidayRule::kFixed, 11, 4, 0, HolidayShift::kNextWorkday, "День народного единства"},
    {"US", HolidayRule::kFixed, 1, 1, 0, HolidayShift::kNearestWorkday, "New Year's Day"},
    {"US", HolidayRule::kNth, 1, 3, 1, HolidayShift::kStays, "Birthday of Martin Luther King, Jr."},
    {"US", HolidayRule::kNth, 2, 3, 1, HolidayShift::kStays, "Washington's Birthday"},
    {"US", HolidayRule::kNth, 5, 5, 1, HolidayShift::kStays, "Memorial Day"},
    {"US", HolidayRule::kFixed, 6, 19, 0, HolidayShift::kNearestWorkday, "Juneteenth"},
    {"US", HolidayRule::kFixed, 7, 4, 0, HolidayShift::kNearestWorkday, "Independence Day"},
    {"US", HolidayRule::kNth, 9, 1, 1, HolidayShift::kStays, "Labor Day"},
    {"US", HolidayRule::kNth, 10, 2, 1, HolidayShift::kStays, "Columbus Day"},
    {"US", HolidayRule::kFixed, 11, 11, 0, HolidayShift::kNearestWorkday, "Veterans Day"},
    {"US", HolidayRule::kNth, 11, 4, 4, HolidayShift::kStays, "Thanksgiving Day"},
    {"US", HolidayRule::kFixed, 12, 25, 0, HolidayShift::kNearestWorkday, "Christmas Day"},
    // Also observed when the next year's first day is a Saturday.
    {"US", HolidayRule::kFixed, 13, 1, 0, HolidayShift::kNearestWorkday, "New Year's Day"},
}};

}  // namespace crm::scheduler
