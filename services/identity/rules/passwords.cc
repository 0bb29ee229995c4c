#include "services/identity/rules/passwords.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <set>

#include "common/base/error.h"
#include "common/base/text.h"

namespace crm::identity {
namespace {

// The most used passwords of ten characters and more, from published lists of leaked ones; folded.
const char* const kCommon[] = {
    "1234567890",   "12345678910",   "123456789a",    "1q2w3e4r5t",   "qwertyuiop",  "q1w2e3r4t5",   "1qaz2wsx3edc",
    "password12",   "password123",   "password1234",  "passw0rd123",  "p@ssw0rd123", "password1!",   "qwerty12345",
    "qwerty123456", "qwertyuiop123", "1234qwerasdf",  "asdfghjkl123", "zxcvbnm123",  "letmein1234",  "iloveyou123",
    "welcome123",   "welcome1234",   "administrator", "admin12345",   "admin123456", "changeme123",  "football123",
    "baseball123",  "monkey12345",   "dragon12345",   "sunshine123",  "princess123", "superman123",  "1111111111",
    "0000000000",   "9876543210",    "0987654321",    "abcdefghij",   "abcd123456",  "aa12345678",   "123qweasdzxc",
    "qazwsxedcrfv", "йцукенгшщз",    "пароль1234",    "пароль12345",  "qwerty1234",  "1q2w3e4r5t6y", "zaq12wsxcde3",
};

}  // namespace

absl::Status CheckPassword(const std::string& password, const std::string& login, const std::string& field) {
  if (LengthOf(password) < kPasswordLengthMin) {
    return FieldError(field, absl::StrCat("is shorter than ", kPasswordLengthMin, " characters; choose a longer one"));
  }
  const std::string folded = CaseFold(password);
  if (std::set<char>(folded.begin(), folded.end()).size() < 4) {
    return FieldError(field, "repeats a few characters; choose one that is harder to guess");
  }
  for (const char* common : kCommon) {
    if (folded == common) return FieldError(field, "is one of the most used passwords; choose another one");
  }
  const std::string name = CaseFold(login.substr(0, login.find('@')));
  if (name.size() >= 4 && folded.size() < name.size() + 6 && absl::StrContains(folded, name)) {
    return FieldError(field, "is little more than the login; choose another one");
  }
  return absl::OkStatus();
}

}  // namespace crm::identity
