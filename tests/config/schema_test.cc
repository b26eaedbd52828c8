// tests/config/schema_test.cc - the table, the man page and the sample say the same

#include "common/config/schema.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace rims::config {
namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in(std::string(RIMS_SOURCE_ROOT) + "/" + path);
  EXPECT_TRUE(in.good()) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// What follows `.It Ic key` up to the next macro, as one line.
struct Entry {
  std::string key, text;
};

std::vector<Entry> entries_of_man_page() {
  std::vector<Entry> entries;
  bool inside = false;
  for (const std::string& line : lines_of("man/rims.yml.5")) {
    const std::string mark = ".It Ic ";
    if (line.starts_with(mark)) {
      entries.push_back({line.substr(mark.size()), ""});
      inside = true;
    } else if (line.starts_with(".")) {
      inside = false;
    } else if (inside) {
      std::string& text = entries.back().text;
      text += (text.empty() ? "" : " ") + line;
    }
  }
  return entries;
}

TEST(Schema, TheManPageHasEveryKeyWithItsMeaningRangeAndDefault) {
  const auto entries = entries_of_man_page();
  ASSERT_EQ(entries.size(), settings().size());
  for (size_t i = 0; i < entries.size(); i++) {
    const Setting& s = settings()[i];
    EXPECT_EQ(entries[i].key, s.key);
    std::string text(s.doc);
    if (s.kind != Kind::user_list) text += " Expected: " + expectation(s) + ".";
    text += " Default: " + shown_default(s) + ".";
    EXPECT_EQ(entries[i].text, text) << s.key;
  }
}

// "#key: value" is a setting, "# text" is prose.
TEST(Schema, TheSampleHasEveryKeyWithItsMeaningAndDefault) {
  std::string section, prose, bare;
  size_t next = 0;
  for (const std::string& line : lines_of("etc/config.yml.sample")) {
    if (line.starts_with("# ") && !line.starts_with("#  ")) {
      prose += (prose.empty() ? "" : " ") + line.substr(2);
      continue;
    }
    bare += (line.empty() ? line : line.substr(1)) + "\n";
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.starts_with("#  -")) {
      prose.clear();
      continue;
    }
    const bool nested = line.starts_with("#  ");
    const std::string name = line.substr(nested ? 3 : 1, colon - (nested ? 3 : 1));
    const std::string value = line.size() > colon + 2 ? line.substr(colon + 2) : "";
    if (!nested && value.empty() && name != "user_list") {
      section = name;
      continue;
    }
    ASSERT_LT(next, settings().size()) << line;
    const Setting& s = settings()[next++];
    EXPECT_EQ(nested ? section + "." + name : name, s.key);
    EXPECT_EQ(prose, s.doc) << s.key;
    if (!s.fallback.empty() && value != "\"" + std::string(s.fallback) + "\"")
      EXPECT_EQ(value, s.fallback) << s.key;
    prose.clear();
  }
  EXPECT_EQ(next, settings().size());

  const auto config = parse(bare, "sample", "/srv/rims");
  EXPECT_TRUE(config) << config.error().reply() << "\n" << bare;
}

TEST(Schema, EveryDefaultIsWithinItsOwnRange) {
  Options options;
  options.need_users = false;
  for (const Setting& s : settings()) {
    if (s.fallback.empty()) continue;
    options.overrides = {{std::string(s.key), std::string(s.fallback)}};
    const auto config = parse("", "f", "/", options);
    EXPECT_TRUE(config) << s.key << ": " << config.error().reply();
  }
}

TEST(Schema, EveryKeyIsKnownOnceAndNearToItself) {
  for (const Setting& s : settings()) {
    EXPECT_EQ(find_setting(s.key), &s);
    EXPECT_TRUE(s.doc.ends_with(".")) << s.key;
    std::string typo(s.key);
    typo[typo.size() - 1] = 'q';
    EXPECT_FALSE(nearest_key(typo).empty()) << s.key;
  }
  EXPECT_EQ(find_setting("nothing"), nullptr);
  EXPECT_EQ(nearest_key(std::string(100'000, 'x')), "");
}

}  // namespace
}  // namespace rims::config
