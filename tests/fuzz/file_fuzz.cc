// covers: services/messaging/file_bytes.cc#ReadNumber,ParseRange,ContentTypeOf services/messaging/file_link.cc services/messaging/secrets.cc
// Ranges of files, types of contents, links to them, and sealed passwords.
#include <optional>

#include "services/messaging/file_link.h"
#include "services/messaging/files.h"
#include "services/messaging/secrets.h"
#include "tests/fuzz/fuzz.h"

CRM_FUZZ(file) {
  using namespace crm;
  static const int64_t kSizes[] = {0, 1, 100, 50 << 20};
  const int64_t size = input.Of(kSizes);
  const absl::string_view text = input.Rest();
  const auto range = messaging::ParseRange(text, size);
  if (range.ok()) {
    fuzz::Require(range->first >= 0 && range->last < size && range->first <= range->last + 1, "a range lies within",
                  text);
    fuzz::Require(range->partial || (range->first == 0 && range->last == size - 1), "what is not a part is the whole",
                  text);
  } else {
    fuzz::Require(range.status().code() == absl::StatusCode::kOutOfRange, "only what lies behind the end is refused");
  }

  const std::string type = messaging::ContentTypeOf(text);
  fuzz::Require(type.find('/') != std::string::npos && IsClean(type), "a type is one", type);

  static const Uuid tenant = ParseId("tenant_01h455vb4pex5vsknk084sn02q")->uuid;
  static const std::string id = "file_01h455vb4pex5vsknk084sn02q";
  const absl::Time now = absl::FromUnixSeconds(1795424400);
  fuzz::Require(!messaging::ReadFileLink(tenant, id, text, now).ok(), "nobody else makes links", text);

  const std::string link = messaging::SignFileLink(tenant, id, now + absl::Minutes(1), text.size() % 2 == 0);
  const auto terms = messaging::ReadFileLink(tenant, id, link, now);
  fuzz::Require(terms.ok() && terms->expire == now + absl::Minutes(1) && terms->inline_ == (text.size() % 2 == 0),
                "our links are read as they were made", link);
  fuzz::Require(!messaging::ReadFileLink(tenant, id, link, now + absl::Minutes(1)).ok(), "a link expires");

  static const auto box = messaging::SecretBox::Make(std::string(64, 'a'));
  fuzz::Require(box->Open(box->Seal(text, "here"), "here").value_or("-") == text,
                "a secret is opened where it was sealed");
  fuzz::Require(!box->Open(box->Seal(text, "here"), "there").ok(), "and nowhere else");
  fuzz::Require(!box->Open(text, "here").ok(), "nobody else seals");
  if (const auto other = messaging::SecretBox::Make(text); !other.ok()) fuzz::RequireRefusal(other.status());
}
