// Templates: what may be saved, and what a letter then says.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "common/base/error.h"
#include "crm/contact/v1/contact.pb.h"
#include "crm/deal_pipeline/v1/deal.pb.h"
#include "services/messaging/rules/liquid.h"
#include "services/messaging/rules/templates.h"

namespace crm::messaging {
namespace {

Value Root() {
  contact::v1::Contact contact;
  contact.set_given_name("Ada <b>");
  contact.set_family_name("O'Hara");
  contact.set_language("ru");
  contact.add_tags("vip");
  contact.add_tags("north");
  deal_pipeline::v1::Deal deal;
  deal.set_title("Boxes");
  deal.mutable_amount()->set_amount("1234.50");
  deal.mutable_amount()->set_currency_code("EUR");
  deal.set_expected_close_date("2026-12-03");
  for (const char* name : {"Box", "Lid"}) {
    auto* line = deal.add_lines();
    line->set_name(name);
    line->set_quantity("2");
  }
  deal.set_status(deal_pipeline::v1::DEAL_STATUS_WON);
  Value root;
  root.kind = Value::Kind::kObject;
  root.fields["contact"] = ValueOf(contact);
  root.fields["deal"] = ValueOf(deal);
  root.fields["today"] = Value::Date("2026-11-23");
  return root;
}

std::string Rendered(const std::string& text, LiquidMode mode = LiquidMode::kText, const std::string& language = "en") {
  const Shape shape = RootShape({});
  auto compiled = Liquid::Compile(text, mode, shape);
  if (!compiled.ok()) return "ERROR " + std::string(compiled.status().message());
  const Locale locale{language, "Europe/Berlin"};
  auto out = compiled->Render(Root(), locale, nullptr);
  return out.ok() ? *out : "ERROR " + std::string(out.status().message());
}

TEST(Liquid, FillsIn) {
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case kCases[] = {
      {"Dear {{ contact.given_name }}!", "Dear Ada <b>!"},
      {"{{contact.job_title | default: \"friend\"}}", "friend"},
      {"{% if deal.amount > 1000 %}big{% elsif deal.amount > 10 %}mid{% else %}small{% endif %}", "big"},
      {"{% if deal.amount.amount <= 1000 or contact.tags contains \"vip\" %}yes{% endif %}", "yes"},
      {"{% if not contact.job_title and deal.status == \"won\" %}won{% endif %}", "won"},
      {"{% for line in deal.lines %}{{ forloop.index }}. {{ line.name }}{% if not forloop.last %}, {% endif %}{% "
       "endfor %}",
       "1. Box, 2. Lid"},
      {"{% for tag in contact.phones %}x{% else %}none{% endfor %}", "none"},
      {"{{ contact.tags | join: \"/\" }} {{ contact.tags | size }} {{ deal.lines.size }}", "vip/north 2 2"},
      {"a{# a remark {{ nothing }} #}b", "ab"},
      {"{ {% if true %}{{ \"}}\" }}{% endif %} }", "{ }} }"},
      {"{{ deal.title | upcase }} {{ deal.title | downcase }} {{ \"ivan\" | capitalize }}", "BOXES boxes Ivan"},
      {"{{ \"Boxes and lids\" | truncate: 6 }}", "Boxes…"},
      {"{{ \"a b&c\" | url_encode }}", "a%20b%26c"},
      {"{{ deal.lost_reason }}|{{ contact.company_id }}", "|"},
  };
  for (const Case& c : kCases) EXPECT_EQ(Rendered(c.text), c.expected) << c.text;
}

TEST(Liquid, WritesMoneyDatesAndNumbersInTheReadersWay) {
  EXPECT_EQ(Rendered("{{ deal.amount | money }}"), "€1,234.50");
  EXPECT_EQ(Rendered("{{ deal.amount | money }}", LiquidMode::kText, "ru"), "1\u00a0234,50\u00a0€");
  EXPECT_EQ(Rendered("{{ deal.amount | money }}", LiquidMode::kText, "de"), "1.234,50\u00a0€");
  EXPECT_EQ(Rendered("{{ deal.expected_close_date | date: \"long\" }}"), "December 3, 2026");
  EXPECT_EQ(Rendered("{{ deal.expected_close_date | date }}", LiquidMode::kText, "ru").rfind("3 декабря 2026", 0), 0u);
  EXPECT_EQ(Rendered("{{ today | date: \"iso\" }}"), "2026-11-23");
  EXPECT_EQ(Rendered("{{ 1234567.891 | number: 2 }}"), "1,234,567.89");
  EXPECT_EQ(Rendered("{{ \"no number\" | money }}"), "no number");
}

TEST(Liquid, TakesThePluralOfTheLanguage) {
  const std::string russian = " | plural: \"товар\", \"товара\", \"товаров\" }}";
  for (const auto& [number, word] : std::vector<std::pair<std::string, std::string>>{
           {"1", "товар"}, {"2", "товара"}, {"5", "товаров"}, {"11", "товаров"}, {"21", "товар"}, {"112", "товаров"}}) {
    EXPECT_EQ(Rendered("{{ " + number + russian, LiquidMode::kText, "ru"), word) << number;
  }
  EXPECT_EQ(Rendered("{{ 1 | plural: \"item\", \"items\" }} {{ 0 | plural: \"item\", \"items\" }}"), "item items");
}

TEST(Liquid, EscapesWhereItStands) {
  const auto html = [](const std::string& text) { return Rendered(text, LiquidMode::kHtml); };
  EXPECT_EQ(html("<p>{{ contact.given_name }}</p>"), "<p>Ada &lt;b&gt;</p>");
  EXPECT_EQ(html("<p title=\"{{ contact.family_name }}\">x</p>"), "<p title=\"O&#39;Hara\">x</p>");
  EXPECT_EQ(html("<a href=\"{{ \"javascript:alert(1)\" }}\">x</a>"), "<a href=\"#\">x</a>");
  EXPECT_EQ(html("<a href=\"{{ \"https://a.example/?a=1&b=2\" }}\">x</a>"),
            "<a href=\"https://a.example/?a=1&amp;b=2\">x</a>");
  EXPECT_EQ(html("<a href=\"{{ deal.lost_reason }}{{ \"javascript:x\" }}\">x</a>"), "<a href=\"#\">x</a>");
  EXPECT_EQ(html("<a href=\"{% if deal.lost_reason %}https://{% endif %}{{ \"javascript:x\" }}\">x</a>"),
            "<a href=\"#\">x</a>");
  EXPECT_EQ(html("<a href=\"{{ \"javascript\" }}{{ \":x\" }}\">x</a>"), "<a href=\"javascript#\">x</a>");
  EXPECT_EQ(html("<a href=\"https://a.example/{{ \"javascript:x\" | url_encode }}\">x</a>"),
            "<a href=\"https://a.example/javascript%3ax\">x</a>");
}

TEST(Liquid, RefusesValuesWhereScriptsAndTagsAreWritten) {
  for (const char* text :
       {"<script>var a = \"{{ deal.title }}\"</script>", "<style>p { color: {{ deal.title }} }</style>",
        "<p title={{ deal.title }}>", "<p onclick=\"{{ deal.title }}\">x</p>", "<p style=\"{{ deal.title }}\">x</p>",
        "<{{ deal.title }}>", "<!-- {{ deal.title }} -->", "<p {{ deal.title }}>",
        // As browsers read tags, whatever their authors meant.
        "<script/>{{ deal.title }}</script>", "<script type=module>{{ deal.title }}</script>",
        "<script async=>{{ deal.title }}</script>", "<script;x>{{ deal.title }}</script>",
        "<SCRIPT\n>{{ deal.title }}</SCRIPT>", "<script></scriptx>{{ deal.title }}</script>",
        "<script><!--<script></script>{{ deal.title }}--></script>", "<!x =\"><script>{{ deal.title }}\">",
        "<!-<script>{{ deal.title }}</script>", "<xmp><a title=\"</xmp><script>{{ deal.title }}\">",
        "<a =\"><script>\" title=\"{{ deal.title }}\">", "<svg><![CDATA[<a title=\"]]><script>{{ deal.title }}\">",
        "<p {% if deal.title %}on{% endif %}click=\"{{ deal.title }}\">",
        "<p o{% for t in contact.tags %}n{% endfor %}click=\"{{ deal.title }}\">"}) {
    EXPECT_TRUE(Rendered(text, LiquidMode::kHtml).rfind("ERROR", 0) == 0) << text;
  }
  EXPECT_TRUE(Rendered("{% if deal.title %}<p title=\"{% endif %}\">", LiquidMode::kHtml).rfind("ERROR", 0) == 0);
  EXPECT_EQ(Rendered("<p{% if deal.title %} class=\"x\"{% endif %}>a</p>", LiquidMode::kHtml), "<p class=\"x\">a</p>");
  EXPECT_EQ(Rendered("<p {% if deal.title %}hidden{% endif %} title = \"{{ deal.title }}\">a</p>", LiquidMode::kHtml),
            "<p hidden title = \"Boxes\">a</p>");
  EXPECT_EQ(
      Rendered("<!DOCTYPE html><!--[if mso]><p><![endif]--><style>p{}</style >{{ deal.title }}<br/>{{ deal.title }}",
               LiquidMode::kHtml),
      "<!DOCTYPE html><!--[if mso]><p><![endif]--><style>p{}</style >Boxes<br/>Boxes");
}

TEST(Liquid, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* text;
    const char* says;
  };
  const Case kCases[] = {
      {"a\n{{ contact.givenname }}", "line 2: there is no variable contact.givenname"},
      {"{{ offer.link }}", "there is no variable offer"},
      {"{{ deal.amount | monney }}", "there is no filter \"monney\""},
      {"{{ deal.amount", "is not closed"},
      {"{% if deal.amount %}x", "{% endif %} is missing"},
      {"{% include \"x\" %}", "is not known here"},
      {"{% for x in deal.title %}{% endfor %}", "is no list"},
      {"{{ contact }}", "has fields"},
      {"{{ deal.title | truncate: 1, 2 }}", "is written like"},
      {"{{ deal.title deal.title }}", "is not expected here"},
      {"{{ \"open }}", "is not closed"},
      {"{% for line in deal.lines %}{{ line.nothing }}{% endfor %}", "there is no variable line.nothing"},
      {"{% endfor %}", "is not known here"},
      {"{{ contact.access }}", "there is no variable contact.access"},
      {"{{ шшшшшшшшшшшш }}", "\"шшшшшшшшшш\" cannot be read"},
  };
  for (const Case& c : kCases) {
    const std::string got = Rendered(c.text);
    EXPECT_NE(got.find(c.says), std::string::npos) << c.text << " -> " << got;
  }
}

TEST(Liquid, HasLimits) {
  std::string deep, many;
  for (int i = 0; i < 20; ++i) deep += "{% if true %}";
  for (int i = 0; i < kLiquidNodesMax + 1; ++i) many += "{{ deal.title }}";
  EXPECT_NE(Rendered(deep).find("nested too deeply"), std::string::npos);
  EXPECT_NE(Rendered(many).find("too many parts"), std::string::npos);
  std::string not_not = "{% if ";
  for (int i = 0; i < 100; ++i) not_not += "not ";
  EXPECT_NE(Rendered(not_not + "true %}{% endif %}").find("nested too deeply"), std::string::npos);
}

v1::Template Made() {
  v1::Template made;
  made.set_name("Offer");
  auto* variant = made.add_variants();
  variant->set_language("en");
  variant->set_subject("Your offer\n{{ deal.title }}");
  variant->set_html(
      "<p>Hello {{ contact.given_name }},</p><p>see <a href=\"{{ link }}\">it</a>{{ contact.job_title }}</p>");
  auto* russian = made.add_variants();
  russian->set_language("ru");
  russian->set_subject("Предложение");
  russian->set_text("{{ deal.lines.size }} {{ deal.lines.size | plural: \"строка\", \"строки\", \"строк\" }}");
  auto* link = made.add_variables();
  link->set_name("link");
  link->set_kind(v1::VARIABLE_KIND_TEXT);
  link->set_required(true);
  return made;
}

TEST(Templates, AreFilledInInTheLanguageOfTheReader) {
  v1::Template made = Made();
  ASSERT_TRUE(CheckTemplate(made, "template").ok());
  Value root = Root();
  google::protobuf::Struct variables;
  (*variables.mutable_fields())["link"].set_string_value("https://example.com/o/1");
  ASSERT_TRUE(AddVariables(made, variables, "variables", root).ok());
  auto letter = Fill(made, "en-GB", root, "UTC");
  ASSERT_TRUE(letter.ok()) << letter.status();
  EXPECT_EQ(letter->subject, "Your offer Boxes");
  EXPECT_EQ(letter->text, "Hello Ada <b>,\n\nsee it (https://example.com/o/1)");
  EXPECT_EQ(letter->empty, std::set<std::string>{"contact.job_title"});
  letter = Fill(made, "ru", root, "UTC");
  ASSERT_TRUE(letter.ok());
  EXPECT_EQ(letter->text, "2 строки");
  EXPECT_EQ(letter->html, "");
  EXPECT_EQ(VariantFor(made, "he").language(), "en");
  EXPECT_EQ(RootsOf(made), (std::set<std::string>{"contact", "deal", "link"}));
}

TEST(Templates, AreRefusedByField) {
  struct Case {
    std::function<void(v1::Template&)> breaks;
    const char* field;
  };
  const Case kCases[] = {
      {[](auto& t) { t.mutable_variants(1)->set_text("{{ offer.x }}"); }, "template.variants[1].text"},
      {[](auto& t) { t.mutable_variants(0)->set_html("<script>{{ deal.title }}</script>"); },
       "template.variants[0].html"},
      {[](auto& t) { t.mutable_variants(1)->set_language("EN"); }, "template.variants[1].language"},
      {[](auto& t) { t.mutable_variants(1)->clear_text(); }, "template.variants[1].text"},
      {[](auto& t) { t.mutable_variables(0)->set_name("deal"); }, "template.variables[0].name"},
      {[](auto& t) { *t.add_variables() = t.variables(0); }, "template.variables[1].name"},
      {[](auto& t) { t.set_name("  "); }, "template.name"},
  };
  for (const Case& c : kCases) {
    v1::Template made = Made();
    c.breaks(made);
    const auto violations = ViolationsOf(CheckTemplate(made, "template"));
    ASSERT_EQ(violations.size(), 1u) << c.field;
    EXPECT_EQ(violations[0].field, c.field);
  }
}

TEST(Templates, WantTheirVariablesAndNoOthers) {
  Value root;
  google::protobuf::Struct variables;
  EXPECT_EQ(ViolationsOf(AddVariables(Made(), variables, "variables", root))[0].field, "variables.link");
  (*variables.mutable_fields())["link"].set_string_value("x");
  (*variables.mutable_fields())["lnk"].set_string_value("x");
  EXPECT_EQ(ViolationsOf(AddVariables(Made(), variables, "variables", root))[0].field, "variables.lnk");
}

TEST(Templates, ListWhatTheyMayName) {
  const auto paths = PathsOf(RootShape({}));
  const auto has = [&](const std::string& path, v1::VariableKind kind) {
    return std::find(paths.begin(), paths.end(), std::pair(path, kind)) != paths.end();
  };
  EXPECT_TRUE(has("contact.given_name", v1::VARIABLE_KIND_TEXT));
  EXPECT_TRUE(has("deal.amount", v1::VARIABLE_KIND_MONEY));
  EXPECT_TRUE(has("deal.lines[].name", v1::VARIABLE_KIND_TEXT));
  EXPECT_TRUE(has("deal.expected_close_date", v1::VARIABLE_KIND_DATE));
  EXPECT_TRUE(has("tenant.name", v1::VARIABLE_KIND_TEXT));
  for (const auto& [path, kind] : paths) EXPECT_EQ(path.find("password"), std::string::npos) << path;
}

}  // namespace
}  // namespace crm::messaging
