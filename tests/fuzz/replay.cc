// Every fuzzer on its corpus, and on random changes of it. The seed is printed: CRM_SEED=42 build/dev/bin/fuzz_replay repeats it
// runs the same changes again, as far as time allows (CRM_LONG=1: ten times as many).
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/common/base/seed.h"

namespace crm::fuzz {
namespace {

constexpr size_t kInputMax = 8 << 10;
constexpr int kChanges = 5000;                                 // of a corpus, at most
constexpr auto kChangesTime = std::chrono::milliseconds(250);  // one fuzzer's share of the test run
constexpr unsigned kStuckSeconds = 120;                        // the whole of one fuzzer, on the slowest machine

// What is being tried, for the handler of a crash.
const std::string* tried = nullptr;
const char* trying = "";

void Say(absl::string_view text) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

// Crashed, or stuck: says on what. Nothing here may allocate.
void OnSignal(int signal) {
  Say("\nfuzzer ");
  Say(trying);
  Say(signal == SIGALRM ? " is stuck on this input (hex):\n" : " crashed on this input (hex):\n");
  for (size_t i = 0; tried != nullptr && i < tried->size(); ++i) {
    const auto byte = static_cast<unsigned char>((*tried)[i]);
    const char digits[] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    Say(absl::string_view(digits, 2));
  }
  Say("\n");
  std::signal(signal, SIG_DFL);
  std::raise(signal == SIGALRM ? SIGABRT : signal);
}

// How libFuzzer changes its inputs, in short.
class Changer {
 public:
  explicit Changer(uint64_t seed) : random_(seed) {}

  std::string Change(const std::vector<std::string>& corpus) {
    std::string bytes = corpus[Below(corpus.size())];
    for (size_t n = 1 + Below(4); n > 0; --n) Once(bytes, corpus[Below(corpus.size())]);
    bytes.resize(std::min(bytes.size(), kInputMax));
    return bytes;
  }

 private:
  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void Once(std::string& bytes, const std::string& other) {
    static constexpr absl::string_view kTelling[] = {absl::string_view("\0", 1),
                                                     "\xff",
                                                     "\x80",
                                                     "\xed\xa0\x80",
                                                     "\xef\xbf\xbd",
                                                     "\"",
                                                     "\\",
                                                     "'",
                                                     "{{",
                                                     "}}",
                                                     "%",
                                                     "(",
                                                     ")",
                                                     "*",
                                                     "-",
                                                     ".",
                                                     "0",
                                                     "9999999999999999999999",
                                                     "-1",
                                                     "e9",
                                                     "\r\n",
                                                     "\n",
                                                     " ",
                                                     ":",
                                                     "=",
                                                     "<",
                                                     ">",
                                                     ";",
                                                     ",",
                                                     "\xe2\x80\xae",
                                                     "\xc3\x9f",
                                                     "\xd7\xa9",
                                                     "\xff\xff\xff\xff",
                                                     "\x7f\xff\xff\xff"};
    const size_t at = Below(bytes.size() + 1);
    const size_t size = Below(std::min<size_t>(bytes.size() - at + 1, 32));
    switch (Below(8)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(Below(256));
        break;
      case 2:
        bytes.erase(at, size);
        break;
      case 3:
        bytes.insert(Below(bytes.size() + 1), bytes.substr(at, size));
        break;
      case 4: {
        const absl::string_view telling = kTelling[Below(std::size(kTelling))];
        bytes.insert(at, telling.data(), telling.size());
        break;
      }
      case 5: {
        const absl::string_view telling = kTelling[Below(std::size(kTelling))];
        bytes.replace(at, size, telling.data(), telling.size());
        break;
      }
      case 6: {
        const size_t from = Below(other.size() + 1);
        bytes.insert(at, other, from, Below(64));
        break;
      }
      case 7:
        bytes.resize(at);
        bytes.append(other, Below(other.size() + 1), std::string::npos);
        break;
    }
  }

  std::mt19937_64 random_;
};

class Replay : public ::testing::Test {
 public:
  Replay(std::string name, fuzz::Run run, uint64_t seed) : name_(std::move(name)), run_(run), seed_(seed) {}

  void TestBody() override {
    trying = name_.c_str();
    for (int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL, SIGALRM}) std::signal(signal, OnSignal);
    alarm(kStuckSeconds);
    std::vector<std::string> corpus;
    const std::filesystem::path folder = std::filesystem::path(CRM_FUZZ_CORPUS) / name_;
    ASSERT_TRUE(std::filesystem::is_directory(folder)) << "give the fuzzer something to begin with: " << folder;
    std::vector<std::filesystem::path> files(std::filesystem::directory_iterator(folder), {});
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      std::ifstream in(file, std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
      if (!Try(corpus.back())) return;
    }
    ASSERT_FALSE(corpus.empty()) << "no file in " << folder;
    const char* given = std::getenv("CRM_LONG");
    const int times = given != nullptr && *given != '\0' ? 10 : 1;
    const auto end = std::chrono::steady_clock::now() + kChangesTime * times;
    Changer changer(seed_ ^ std::hash<std::string>()(name_));
    int tries = 0;
    while (tries < kChanges * times && std::chrono::steady_clock::now() < end) {
      ++tries;
      if (!Try(changer.Change(corpus))) break;
    }
    RecordProperty("tries", tries);
    alarm(0);
    tried = nullptr;
  }

 private:
  bool Try(const std::string& bytes) {
    tried = &bytes;
    try {
      Input input(bytes);
      run_(input);
      return true;
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what() << "\n  input: \"" << absl::CHexEscape(bytes) << "\"";
      return false;
    }
  }

  const std::string name_;
  const fuzz::Run run_;
  const uint64_t seed_;
};

}  // namespace
}  // namespace crm::fuzz

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // The same changes in every ordinary run, so that a change of ours is judged by itself; others in the long one.
  if (std::getenv("CRM_LONG") == nullptr || *std::getenv("CRM_LONG") == '\0') setenv("CRM_SEED", "1", /*overwrite=*/0);
  const uint64_t seed = crm::SeededRandom()();
  for (const auto& [name, run] : crm::fuzz::Registered()) {
    ::testing::RegisterTest(
        "Fuzz", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
        [name = name, run = run, seed]() -> ::testing::Test* { return new crm::fuzz::Replay(name, run, seed); });
  }
  return RUN_ALL_TESTS();
}
