#include "data/object_annotation.h"

#include "tests/data/published_sources.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

std::vector<AnnotatedObject> read(const std::string& text) {
  return read_annotation(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()),
                         "a.xml");
}

void fails(const std::string& text, std::vector<std::string> parts) {
  parts.push_back("a.xml");
  expect_error([&] { read(text); }, parts);
}

TEST(ReadAnnotation, ReadsObjectsInTheirOrder) {
  const auto objects = read(
      "<?xml version=\"1.0\"?>\n<!-- by hand --><annotation>\n<size><width>5</width></size>\n"
      "<object><name> dog </name><bndbox><ymax>40.25</ymax><xmin>2</xmin>\n<ymin>3</ymin>"
      "<xmax>30</xmax></bndbox><difficult>1</difficult></object>\n"
      "<object><bndbox><xmin>-1.5</xmin><ymin>0</ymin><xmax>-1.5</xmax><ymax>1e1</ymax></bndbox>"
      "<part><name>head</name></part><name>cat &amp; mouse</name></object></annotation>");
  ASSERT_EQ(objects.size(), 2U);
  EXPECT_EQ(objects[0].name, "dog");
  EXPECT_TRUE(objects[0].difficult);
  EXPECT_EQ(objects[0].box.x, 2);
  EXPECT_EQ(objects[0].box.y, 3);
  EXPECT_EQ(objects[0].box.width, 28);
  EXPECT_EQ(objects[0].box.height, 37) << "int(40.25) - 3";
  EXPECT_EQ(objects[1].name, "cat & mouse");
  EXPECT_FALSE(objects[1].difficult);
  EXPECT_EQ(objects[1].box.x, -1);
  EXPECT_EQ(objects[1].box.width, 0);
  EXPECT_TRUE(read("<annotation/>").empty());
}

// The pixels of a box are those of Pillow's crop((xmin, ymin, xmax, ymax)): that of
// Image.new("RGB", (40, 30)) by (3, 4, 20, 18) has a size of (17, 14).
TEST(ReadAnnotation, BoxesAreCroppedAsPillowCrops) {
  const auto objects = read(annotation_of({{"dog"}}));
  EXPECT_EQ(crop_rectangle(objects[0].box, 40, 30, "i"), (std::array<int, 4>{3, 4, 20, 18}));
  const auto fractions = read(annotation_of({{"dog", {"3.9", "-4.9", "20.9", "18.1"}}}));
  EXPECT_EQ(crop_rectangle(fractions[0].box, 40, 30, "i"), (std::array<int, 4>{3, 0, 20, 18}));
}

TEST(ReadAnnotation, NamesFileObjectAndFieldOfWhatIsWrong) {
  fails("", {"not XML"});
  fails("no tags", {"not XML"});
  fails("<annotation><object></annotation>", {"not XML", "byte"});
  fails("<html/>", {"no <annotation>"});
  fails("<annotation><object><bndbox/></object></annotation>", {"object 1", "no <name>"});
  fails("<annotation><object><name>dog</name></object></annotation>", {"dog has no <bndbox>"});
  fails("<annotation><object><name>dog</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
        {"object 1", "no <xmax>"});
  const auto with = [](const std::vector<std::string>& box) {
    return annotation_of({{"cat"}, {"dog", box}});
  };
  fails(with({"one", "1", "2", "2"}), {"object 2", "<xmin>", "'one'"});
  fails(with({"1", "", "2", "2"}), {"<ymin> is ''"});
  fails(with({"1", "1", "nan", "2"}), {"<xmax>", "not a number"});
  fails(with({"1", "1", "2", "1e999"}), {"<ymax>", "not a number"});
  fails(with({"1", "1", "2", "2px"}), {"'2px'"});
  fails(with({"9", "1", "3", "2"}), {"object 2", "dog", "ends before it begins", "xmin 9"});
  fails(with({"1", "7", "3", "2"}), {"ends before it begins"});
  std::string difficult = annotation_of({{"dog"}});
  difficult.replace(difficult.find("<difficult>0"), 12, "<difficult>2");
  fails(difficult, {"<difficult> is '2'"});
}

TEST(ReadAnnotation, ExpandsNoEntitiesAndReadsNoFiles) {
  const std::string bomb =
      "<!DOCTYPE lolz [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
      "<!ENTITY f SYSTEM \"file:///etc/passwd\">]>";
  const std::string box =
      "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>";
  for (const std::string entity : {"&b;", "&f;"}) {
    const auto objects = read(bomb + "<annotation><object><name>" + entity + "</name>" + box +
                              "</object></annotation>");
    EXPECT_EQ(objects[0].name, entity) << "kept as it is written";
  }
}

TEST(ReadAnnotation, BearsDepthAndRefusesSize) {
  std::string deep = "<annotation>";
  for (int i = 0; i < 500'000; ++i) deep += "<a>";
  fails(deep, {"not XML"});
  for (int i = 0; i < 500'000; ++i) deep += "</a>";
  EXPECT_TRUE(read(deep + "</annotation>").empty());
  fails(std::string(5'000'000, ' '), {"5000000 bytes", "cap"});
}

TEST(ReadAnnotation, ReadsOrRefusesATruncatedOrChangedFile) {
  const std::string text = annotation_of({{"dog"}, {"cat", {"1", "2", "3", "4"}, true}});
  int refused = 0;
  const auto attempt = [&](const std::string& changed) {
    try {
      read(changed);
    } catch (const Error& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).rfind("a.xml", 0), 0U) << error.what();
    }
  };
  for (std::size_t size = 0; size + 2 < text.size(); ++size) attempt(text.substr(0, size));
  EXPECT_EQ(refused, static_cast<int>(text.size()) - 2);
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const char value : {'<', '>', '&', '/', '\0', '\xff', '9'}) {
      std::string changed = text;
      changed[at] = value;
      attempt(changed);
    }
}

}  // namespace
}  // namespace concord::test
