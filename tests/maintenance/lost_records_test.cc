// tests/maintenance/lost_records_test.cc - numbers that are missing: lost, passed over, made good

#include "common/maintenance/lost_records.h"

#include <gtest/gtest.h>

namespace rims::store {
namespace {

RecordHeader record(uint64_t seq, RecordType type, uint64_t first = 0, uint32_t count = 1) {
  RecordHeader h;
  h.seq = seq;
  h.type = type;
  h.batch_first = first == 0 ? seq : first;
  h.batch_count = count;
  return h;
}

TEST(LostRecordsTest, AGapRecordExplainsWhatIsMissingBeforeItsBatch) {
  LostRecords lost;
  EXPECT_FALSE(lost.see(record(1, RecordType::snapshot)));
  EXPECT_FALSE(lost.see(record(2, RecordType::append)));
  EXPECT_TRUE(lost.see(record(10, RecordType::flags, 10, 3)));
  EXPECT_FALSE(lost.see(record(11, RecordType::copy, 10, 3)));
  EXPECT_FALSE(lost.see(record(12, RecordType::gap, 10, 3)));
  EXPECT_TRUE(lost.see(record(20, RecordType::append)));
  EXPECT_FALSE(lost.see(record(21, RecordType::gap))) << "of another batch";
  ASSERT_EQ(lost.holes().size(), 2U);
  EXPECT_EQ(lost.holes()[0].first, 3U);
  EXPECT_EQ(lost.holes()[0].last, 9U);
  EXPECT_EQ(lost.holes()[0].gap, 12U);
  EXPECT_EQ(lost.holes()[1].gap, 0U);
  // Only a footer lists these: what a segment begins with, and the gap.
  EXPECT_TRUE(lost.see(record(30, RecordType::snapshot, 0, 0)));
  EXPECT_FALSE(lost.see(record(31, RecordType::account, 0, 0)));
  EXPECT_FALSE(lost.see(record(32, RecordType::gap, 0, 0)));
  EXPECT_EQ(lost.holes().back().gap, 32U);
}

TEST(LostRecordsTest, WhatWasRestoredIsMadeGood) {
  LostRecords lost;
  for (const uint64_t seq : {1, 2, 6, 7, 11}) lost.see(record(seq, RecordType::append));
  lost.see(record(40, RecordType::gap));
  EXPECT_TRUE(lost.made_good(2));
  EXPECT_FALSE(lost.made_good(4));
  const auto ranges = made_good_by(lost, 8, false);
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[0], (Restored::Range{3, 5}));
  EXPECT_EQ(ranges[1], (Restored::Range{8, 8})) << "up to the end of the backup";
  lost.see(Restored{ranges});
  EXPECT_TRUE(lost.restored(3, 5));
  EXPECT_FALSE(lost.restored(8, 10));
  EXPECT_TRUE(lost.made_good(8));
  EXPECT_FALSE(lost.made_good(9));
  lost.see(Restored{{{9, 10}}});
  EXPECT_TRUE(lost.restored(8, 10)) << "by two restores";
  EXPECT_TRUE(lost.made_good(11));
  EXPECT_FALSE(lost.made_good(20)) << "the gap came after: those were lost";
  EXPECT_TRUE(lost.made_good(40)) << "and before";
  EXPECT_FALSE(lost.made_good(41)) << "the journal ends here";
  EXPECT_TRUE(made_good_by(lost, 30, false).empty());
  EXPECT_EQ(made_good_by(lost, 30, true), (std::vector<Restored::Range>{{12, 30}}));
}

}  // namespace
}  // namespace rims::store
