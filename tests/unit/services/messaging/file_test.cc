// What is said of bytes: ranges, types, digests; and links that open a file for a while.
#include <gtest/gtest.h>

#include "common/base/error.h"
#include "services/messaging/file_link.h"
#include "services/messaging/files.h"

namespace crm::messaging {
namespace {

TEST(FileRange, Table) {
  struct {
    const char* header;
    int64_t size, first, last;
    bool partial;
  } const cases[] = {{"", 10, 0, 9, false},
                     {"bytes=0-3", 10, 0, 3, true},
                     {"bytes=3-", 10, 3, 9, true},
                     {"bytes=-3", 10, 7, 9, true},
                     {"bytes=-30", 10, 0, 9, true},
                     {"Bytes = 0-3", 10, 0, 9, false},  // no unit that we know: the whole
                     {"BYTES=0-0", 10, 0, 0, true},
                     {" bytes=2-4 ", 10, 2, 4, true},
                     {"bytes=2-400", 10, 2, 9, true},
                     {"bytes=4-2", 10, 0, 9, false},
                     {"bytes=0-1,3-4", 10, 0, 9, false},
                     {"bytes=a-b", 10, 0, 9, false},
                     {"bytes=--3", 10, 0, 9, false},
                     {"bytes=-", 10, 0, 9, false},
                     {"bytes=1", 10, 0, 9, false},
                     {"bytes=99999999999999999999-", 10, 0, 9, false},
                     {"lines=0-3", 10, 0, 9, false},
                     {"", 0, 0, -1, false}};
  for (const auto& c : cases) {
    const auto range = ParseRange(c.header, c.size);
    ASSERT_TRUE(range.ok()) << c.header << " " << range.status();
    EXPECT_EQ(range->first, c.first) << c.header;
    EXPECT_EQ(range->last, c.last) << c.header;
    EXPECT_EQ(range->partial, c.partial) << c.header;
  }
  for (const char* behind : {"bytes=10-", "bytes=10-12", "bytes=-0"}) {
    EXPECT_TRUE(absl::IsOutOfRange(ParseRange(behind, 10).status())) << behind;
  }
  EXPECT_TRUE(absl::IsOutOfRange(ParseRange("bytes=-5", 0).status()));
}

TEST(FileParts, TheLastIsShorter) {
  v1::File file;
  EXPECT_EQ(PartsOf(file), 0);
  file.set_size_bytes(1);
  EXPECT_EQ(PartsOf(file), 1);
  EXPECT_EQ(PartBytes(file, 1), 1);
  file.set_size_bytes(2 * kFilePartBytes);
  EXPECT_EQ(PartsOf(file), 2);
  EXPECT_EQ(PartBytes(file, 2), kFilePartBytes);
  file.set_size_bytes(2 * kFilePartBytes + 5);
  EXPECT_EQ(PartsOf(file), 3);
  EXPECT_EQ(PartBytes(file, 3), 5);
  file.set_size_bytes(1 << 30);
  EXPECT_EQ(PartsOf(file), 512);
}

TEST(FileType, IsToldByTheContent) {
  const std::string png("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0", 29);
  EXPECT_EQ(ContentTypeOf(png), "image/png");
  EXPECT_EQ(ContentTypeOf("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), "application/pdf");
  EXPECT_EQ(ContentTypeOf("<!DOCTYPE html><html><body>Hello</body></html>"), "text/html");
  EXPECT_EQ(ContentTypeOf("Only words."), "text/plain");
  EXPECT_EQ(ContentTypeOf(""), "application/octet-stream");
  EXPECT_EQ(ContentTypeOf(std::string(100, '\0')), "application/octet-stream");
  EXPECT_TRUE(MayShowInline("image/png"));
  EXPECT_TRUE(MayShowInline("audio/mpeg"));
  for (const char* harmful :
       {"text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/octet-stream", ""}) {
    EXPECT_FALSE(MayShowInline(harmful)) << harmful;
  }
}

TEST(FileDigest, CanBePutAside) {
  Digest all;
  all.Add("abc");
  // FIPS 180-4, example of "abc".
  EXPECT_EQ(all.Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest().Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Digest begun;
  begun.Add("a");
  auto resumed = Digest::Resume(begun.State());
  ASSERT_TRUE(resumed.ok());
  resumed->Add("bc");
  EXPECT_EQ(resumed->Hex(), all.Hex());
  EXPECT_EQ(resumed->State(), all.State());
  EXPECT_FALSE(Digest::Resume("short").ok());
}

TEST(FileLink, OpensOneFileOfOneTenantUntilItExpires) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const Uuid tenant = NewUuid(now), other = NewUuid(now);
  const std::string file = NewId("file", now);
  const std::string signature = SignFileLink(tenant, file, now + absl::Minutes(5), true);
  const auto terms = ReadFileLink(tenant, file, signature, now + absl::Minutes(4));
  ASSERT_TRUE(terms.ok()) << terms.status();
  EXPECT_TRUE(terms->inline_);
  EXPECT_FALSE(ReadFileLink(tenant, file, SignFileLink(tenant, file, now + absl::Hours(1), false), now)->inline_);
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadFileLink(tenant, file, signature, now + absl::Minutes(5)).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadFileLink(other, file, signature, now).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadFileLink(tenant, NewId("file", now), signature, now).status()));
  EXPECT_TRUE(absl::IsNotFound(ReadFileLink(tenant, file, "", now).status()));
  for (size_t i = 0; i < signature.size(); ++i) {
    std::string forged = signature;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    const auto read = ReadFileLink(tenant, file, forged, now);
    // The last character may have bits that say nothing.
    if (read.ok()) {
      EXPECT_EQ(read->expire, terms->expire) << i;
    }
  }
}

}  // namespace
}  // namespace crm::messaging
