#include "common/events/wire.h"

#include <gtest/gtest.h>

#include "crm/events/v1/event.pb.h"

namespace crm::events {
namespace {

v1::Event Moved() {
  v1::Event event;
  event.set_tenant_id("tenant_01h455vb4pex5vsknk084sn02q");
  event.set_service("deal_pipeline");
  event.set_type("deal.moved");
  event.set_record_id("deal_01h455vb4pex5vsknk084sn02q");
  event.set_revision(3);
  return event;
}

TEST(WithSeq, PutsTheNumberInFrontWithoutParsing) {
  for (uint64_t seq : {uint64_t{1}, uint64_t{300}, uint64_t{1} << 40, ~uint64_t{0}}) {
    v1::Event event = Moved();
    std::string bytes = WithSeq(event.SerializeAsString(), seq);
    event.set_seq(seq);
    EXPECT_EQ(bytes, event.SerializeAsString());  // the very bytes that protobuf writes
    v1::Event parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    EXPECT_EQ(parsed.seq(), seq);
    EXPECT_EQ(parsed.record_id(), event.record_id());
  }
}

TEST(KeyOf, ReadsTenantAndNumber) {
  std::string bytes = WithSeq(Moved().SerializeAsString(), 77);
  auto key = KeyOf(bytes);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->seq, 77u);
  EXPECT_EQ(TypeId("tenant", key->tenant), "tenant_01h455vb4pex5vsknk084sn02q");
}

TEST(KeyOf, ReadsAlsoWhatAnotherWriterOrdersDifferently) {
  std::string reversed = Moved().SerializeAsString() + WithSeq("", 5);  // the number at the end is the same message
  auto key = KeyOf(reversed);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->seq, 5u);
}

TEST(KeyOf, RefusesWhatIsNoNumberedEvent) {
  EXPECT_FALSE(KeyOf("").ok());
  EXPECT_FALSE(KeyOf("nonsense").ok());
  EXPECT_FALSE(KeyOf(Moved().SerializeAsString()).ok()) << "an event without a number";
  EXPECT_FALSE(KeyOf(WithSeq("", 1)).ok()) << "an event without a tenant";
  v1::Event other = Moved();
  other.set_tenant_id("contact_01h455vb4pex5vsknk084sn02q");
  EXPECT_FALSE(KeyOf(WithSeq(other.SerializeAsString(), 1)).ok());
  std::string bytes = WithSeq(Moved().SerializeAsString(), 1);
  for (size_t cut = 0; cut < 44; ++cut) EXPECT_FALSE(KeyOf(bytes.substr(0, cut)).ok()) << cut;
}

TEST(StreamName, NamesServiceAndShard) {
  EXPECT_EQ(StreamName("contact", 3), "events:contact:3");
  Uuid tenant;
  tenant.bytes[15] = 0x2B;
  EXPECT_EQ(ShardOf(tenant), 11);
}

}  // namespace
}  // namespace crm::events
