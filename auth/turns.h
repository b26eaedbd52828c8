// auth/turns.h - whose password is hashed next
//
// A hash takes long on purpose, so under an attack there are more attempts than can be hashed.
//
//   Fair    turns go round by network (Penalties' idea of one) and, where several networks ask for
//           one name, by name: each has a pass, which grows by what its turns cost; the smallest
//           is next. So many attempts of one network, or at one name, wait for each other and not
//           others for them. Who has just come starts at the pass of the last turn: nothing is
//           saved up.
//   Cost    1, and more for a network that failed lately: it has fewer turns, and never none
//   Full    the newest attempt of the network with the most of them gives way, or if that is the
//           one that comes, it is refused. Of links first: a link that invents networks gets no
//           more than another.
//   Left    the attempt of a client that has left gives its place up
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/async/event.h"

namespace rims::auth {

class Turns {
 public:
  // `at_once` turns at a time; `most` may wait.
  Turns(Loop& loop, size_t at_once, size_t most) : loop_(loop), at_once_(at_once), most_(most) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  struct Attempt {
    uint32_t link = 0;
    std::string network, name;
    uint32_t cost = 1;
  };
  enum class State : unsigned char { waits, has_turn, refused, left };

  // A place in the queue, and then a turn; given back when it is destroyed.
  class Place {
   public:
    Place(Turns& turns, Attempt attempt);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    // Until it does not wait any more.
    [[nodiscard]] Event::Wait wait() { return decided_.wait(); }
    [[nodiscard]] State state() const { return state_; }
    // The client has left. Too late when it has its turn.
    void leave();

   private:
    friend class Turns;
    void decide(State state);
    Turns& turns_;
    const Attempt attempt_;
    State state_ = State::waits;
    Event decided_;
  };

  [[nodiscard]] size_t waiting() const { return waiting_.size(); }

 private:
  // By network and by name.
  using Passes = std::map<std::string, uint64_t>;
  [[nodiscard]] uint64_t pass_of(const Passes& passes, const std::string& key) const;
  void make_room();
  void give_turns();

  Loop& loop_;
  const size_t at_once_, most_;
  std::vector<Place*> waiting_;  // in the order of their coming
  size_t running_ = 0;
  uint64_t now_ = 0;  // the pass of the last turn
  Passes networks_, names_;
};

}  // namespace rims::auth
