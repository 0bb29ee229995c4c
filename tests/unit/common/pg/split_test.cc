#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/pg/migrate.h"

namespace crm::pg::migrate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SplitStatements, AtSemicolonsThatEndStatements) {
  EXPECT_THAT(SplitStatements("SELECT 1;SELECT 2"), ElementsAre("SELECT 1", "SELECT 2"));
  EXPECT_THAT(SplitStatements(" ; ;\n"), IsEmpty());
  EXPECT_THAT(SplitStatements("-- only; a comment\n"), IsEmpty());
  EXPECT_THAT(SplitStatements("a/* x; /* y; */ z; */b; c"), ElementsAre("a b", " c"));
}

TEST(SplitStatements, NotInsideQuotes) {
  EXPECT_THAT(SplitStatements("SELECT 'a;''b;'; x"), ElementsAre("SELECT 'a;''b;'", " x"));
  EXPECT_THAT(SplitStatements("SELECT \"a;b\"; x"), ElementsAre("SELECT \"a;b\"", " x"));
  EXPECT_THAT(SplitStatements("SELECT '--'; x"), ElementsAre("SELECT '--'", " x"));
  EXPECT_THAT(SplitStatements("SELECT E'\\';'; x"), ElementsAre("SELECT E'\\';'", " x"));
  EXPECT_THAT(SplitStatements("SELECT name'\\'; x"), ElementsAre("SELECT name'\\'", " x"));
  EXPECT_THAT(SplitStatements("DO $$ a; b $$; x"), ElementsAre("DO $$ a; b $$", " x"));
  EXPECT_THAT(SplitStatements("DO $f$ $$; $$ $f$; x"), ElementsAre("DO $f$ $$; $$ $f$", " x"));
  EXPECT_THAT(SplitStatements("PREPARE p AS SELECT $1; x"), ElementsAre("PREPARE p AS SELECT $1", " x"));
}

TEST(SplitStatements, UnfinishedQuotesEndWithTheText) {
  EXPECT_THAT(SplitStatements("SELECT 'a;"), ElementsAre("SELECT 'a;"));
  EXPECT_THAT(SplitStatements("DO $$ a;"), ElementsAre("DO $$ a;"));
  EXPECT_THAT(SplitStatements("SELECT 1 /* a;"), ElementsAre("SELECT 1  "));
}

}  // namespace
}  // namespace crm::pg::migrate
