// Names of files in headers.
#include "services/gateway/raw.h"

#include <gtest/gtest.h>

namespace crm::gateway {
namespace {

TEST(ContentDispositionTest, Table) {
  EXPECT_EQ(ContentDisposition(false, ""), "attachment");
  EXPECT_EQ(ContentDisposition(true, "offer.pdf"), "inline; filename=\"offer.pdf\"");
  EXPECT_EQ(ContentDisposition(false, "a \"b\".txt"),
            "attachment; filename=\"a _b_.txt\"; filename*=UTF-8''a%20%22b%22.txt");
  EXPECT_EQ(ContentDisposition(false, "\xd0\xa9.pdf"), "attachment; filename=\"__.pdf\"; filename*=UTF-8''%d0%a9.pdf");
  EXPECT_EQ(ContentDisposition(false, "x\r\nSet-Cookie: a=b"),
            "attachment; filename=\"x__Set-Cookie: a=b\"; filename*=UTF-8''x%0d%0aSet-Cookie%3a%20a%3db");
}

}  // namespace
}  // namespace crm::gateway
