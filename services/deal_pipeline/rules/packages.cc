#include "services/deal_pipeline/rules/packages.h"

#include <absl/strings/str_cat.h>

#include <array>

#include "common/base/id.h"

namespace crm::deal_pipeline {
namespace {

// The languages that the product speaks, in the order of the names below.
constexpr std::array<const char*, 4> kLanguages = {"en", "ru", "he", "yi"};

struct PackageStage {
  std::array<const char*, 4> name;
  v1::StageKind kind;
  int probability;
  int rotting_days;
  const char* color;
  const char* required_field;
};

// "b2b_sales": from the first word to the signed order.
constexpr std::array<const char*, 4> kB2bName = {"Sales", "Продажи", "מכירות", "פֿאַרקויף"};
constexpr PackageStage kB2bStages[] = {
    {{"New", "Новая", "חדש", "נײַ"}, v1::STAGE_KIND_OPEN, 10, 3, "#90a4ae", ""},
    {{"Qualified", "Квалифицирована", "מאומת", "קוואַליפֿיצירט"}, v1::STAGE_KIND_OPEN, 25, 7, "#4fc3f7", ""},
    {{"Offer", "Предложение", "הצעה", "פֿאָרשלאָג"}, v1::STAGE_KIND_OPEN, 50, 10, "#7986cb", "amount"},
    {{"Negotiation", "Переговоры", "משא ומתן", "פֿאַרהאַנדלונג"}, v1::STAGE_KIND_OPEN, 75, 14, "#ffb74d", "amount"},
    {{"Won", "Выиграна", "נסגר בהצלחה", "געוווּנען"}, v1::STAGE_KIND_WON, 100, 0, "#66bb6a", "amount"},
    {{"Lost", "Проиграна", "אבד", "פֿאַרלוירן"}, v1::STAGE_KIND_LOST, 0, 0, "#e57373", ""},
};
constexpr std::array<const char*, 4> kB2bLostReasons[] = {
    {"Too expensive", "Дорого", "יקר מדי", "צו טײַער"},
    {"Chose a competitor", "Выбрали конкурента", "בחר במתחרה", "אויסגעקליבן אַ קאָנקורענט"},
    {"No need any more", "Больше не нужно", "אין צורך", "דאַרף שוין נישט"},
    {"No answer", "Нет ответа", "אין תשובה", "קיין ענטפֿער"},
};

}  // namespace

v1::Pipeline PackagePipeline(const identity::v1::Tenant& tenant) {
  size_t language = 0;
  for (size_t i = 0; i < kLanguages.size(); ++i) {
    if (tenant.language() == kLanguages[i]) language = i;
  }
  v1::Pipeline pipeline;
  pipeline.set_id(DerivedId("pipeline", tenant.id(), "package"));
  pipeline.set_name(kB2bName[language]);
  pipeline.set_kind("sales");
  pipeline.set_is_default(true);
  int number = 0;
  for (const auto& from : kB2bStages) {
    auto& stage = *pipeline.add_stages();
    stage.set_id(DerivedId("stage", tenant.id(), absl::StrCat("package/", ++number)));
    stage.set_name(from.name[language]);
    stage.set_kind(from.kind);
    stage.set_probability(from.probability);
    stage.set_rotting_days(from.rotting_days);
    stage.set_color(from.color);
    if (*from.required_field) stage.add_required_fields(from.required_field);
  }
  for (const auto& reason : kB2bLostReasons) pipeline.add_lost_reasons(reason[language]);
  return pipeline;
}

}  // namespace crm::deal_pipeline
