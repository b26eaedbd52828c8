// tests/cli/admin_client_test.cc - a process that does not answer is not one that has ended

#include "cli/admin_client.h"

#include <gtest/gtest.h>

#include "common/async/scope.h"
#include "common/ipc/users_link.h"

namespace rims::cli {
namespace {

class AdminClientTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pair = ipc::make_pair();
    ASSERT_TRUE(pair);
    link_ = std::make_shared<ipc::Link>(loop_, std::move((*pair)[0]), "rims-imapd 0",
                                        ipc::kCtlAcceptsFromServing);
    other_ = std::move((*pair)[1]);
  }
  // Asks when the loop has not looked at its clock for longer than the limit, and will look at it
  // before the limit is over.
  Task<Result<ipc::Packet>> ask_busy(Milliseconds limit) {
    co_await sleep_for(loop_, Milliseconds(1));
    for (const auto until = Loop::now() + 3 * limit; Loop::now() < until;) {
    }
    Scope others(loop_);
    others.spawn(look_soon(limit / 4));
    co_return co_await receive_within(loop_, link_, limit);
  }
  Task<void> look_soon(Milliseconds after) { co_await sleep_for(loop_, after); }

  Loop loop_;
  std::shared_ptr<ipc::Link> link_;
  Fd other_;
};

TEST_F(AdminClientTest, SilenceIsNoEndAlsoWhenTheLoopWasBusy) {
  const auto packet = run(loop_, ask_busy(Milliseconds(20)));
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().fault(), Fault::timeout);
}

TEST_F(AdminClientTest, AnEndIsNoSilence) {
  other_ = Fd();
  const auto packet = run(loop_, ask_busy(Milliseconds(20)));
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().fault(), Fault::peer_gone);
}

}  // namespace
}  // namespace rims::cli
