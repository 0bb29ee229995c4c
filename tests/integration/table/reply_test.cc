// Pages that are answered as bytes are the pages that are answered as messages.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "common/pg/records.h"
#include "tests/integration/table/things.h"

namespace crm::table_tests {
namespace {

using google::protobuf::util::MessageDifferencer;

class ReplyTest : public TableTest {
 protected:
  using Response = tv::ListThingsResponse;
  absl::StatusOr<Response> Shown(const Call& call, const tv::ListThingsRequest& request) {
    return loop_.Run(pg::ListShown(db(), call, things_, request, &Response::mutable_things));
  }
  absl::StatusOr<Response> Reply(const Call& call, const tv::ListThingsRequest& request) {
    return testing::Received(loop_.Run(pg::ListReply<Response>(db(), call, things_, request)));
  }
};

TEST_F(ReplyTest, IsThePageToTheLastField) {
  const uint32_t seed = Seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int i = 0; i < 60; ++i) Create(random.NewThing());
  const Call all = NewCall();
  const Call masked = CallWith(type::v1::SCOPE_ALL, type::v1::SCOPE_OWN);
  for (const Call* call : {&all, &masked}) {
    for (const auto view : {type::v1::VIEW_UNSPECIFIED, type::v1::VIEW_FULL}) {
      tv::ListThingsRequest request;
      request.set_view(view);
      request.set_page_size(25);
      request.set_count(type::v1::COUNT_EXACT);
      int pages = 0, things = 0;
      do {
        const auto shown = Shown(*call, request);
        const auto reply = Reply(*call, request);
        ASSERT_TRUE(shown.ok()) << shown.status();
        ASSERT_TRUE(reply.ok()) << reply.status();
        std::string difference;
        MessageDifferencer differencer;
        differencer.ReportDifferencesToString(&difference);
        EXPECT_TRUE(differencer.Compare(*shown, *reply)) << difference;
        ++pages;
        things += reply->things_size();
        request.set_page_token(reply->next_page_token());
      } while (!request.page_token().empty());
      EXPECT_EQ(pages, 3);
      EXPECT_EQ(things, 60);
    }
  }
}

TEST_F(ReplyTest, AnErrorIsTheLists) {
  tv::ListThingsRequest request;
  request.set_filter("no_such_field = 1");
  const auto reply = Reply(NewCall(), request);
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(reply.status().message(), Shown(NewCall(), request).status().message());
}

}  // namespace
}  // namespace crm::table_tests
