// common/config/earlier_keys.h - configurations of the original RIMS, versions 0.2 and 0.3
//
// They had sections of their own (logging, daemon, server, ...), and names from before those. What
// they say is moved to today's keys before the settings are read; what has no meaning here any
// more, or needs a decision, is told.
#pragma once

#include <string>
#include <vector>

#include "common/config/yaml_tree.h"

namespace rims::config {

struct Remark {
  Position at;
  bool refused = false;  // false: only a warning
  std::string what;
};

// `root` is the map of a whole file. Keys that nobody knows stay as they are.
[[nodiscard]] std::vector<Remark> use_todays_keys(yaml::Node& root);

}  // namespace rims::config
