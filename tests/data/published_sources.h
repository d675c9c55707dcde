#pragma once
// Small sources in the layouts of CUB-200-2011, Stanford Dogs and Pascal VOC, their pictures drawn
// by formula.

#include <fmt/core.h>

#include <string>
#include <vector>

#include "tests/data/support.h"

namespace concord::test {

// One <object>; box is xmin, ymin, xmax, ymax as text.
struct DrawnObject {
  std::string name;
  std::vector<std::string> box = {"3", "4", "20", "18"};
  bool difficult = false;
};

inline std::string annotation_of(const std::vector<DrawnObject>& objects) {
  // As in the published files: the name of the file is not to be relied on.
  std::string text = "<annotation>\n\t<filename>%s</filename>\n";
  for (const DrawnObject& object : objects)
    text += fmt::format(
        "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Left</pose>\n\t\t<difficult>{}</difficult>\n"
        "\t\t<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>\n"
        "\t\t<part><name>head</name><bndbox><xmin>x</xmin></bndbox></part>\n\t</object>\n",
        object.name, object.difficult ? 1 : 0, object.box[0], object.box[1], object.box[2],
        object.box[3]);
  return text + "</annotation>\n";
}

inline std::vector<std::uint8_t> drawn_jpeg(int number) {
  return encode_jpeg(numbered_image(40, 30, number));
}

// A list in text, two breeds of two training and one test image each; one image has two dogs.
inline void write_dogs(const TempFolder& folder, const std::string& name) {
  std::string lists[2];
  int number = 0;
  for (const std::string breed : {"n02085620-Chihuahua", "n02110806-basenji"})
    for (const int image : {7, 12, 100}) {
      const std::string file = fmt::format("{}/{}_{}", breed, breed.substr(0, 9), image);
      folder.put(fmt::format("{}/Images/{}.jpg", name, file), drawn_jpeg(++number));
      std::vector<DrawnObject> dogs{{breed.substr(10)}};
      if (number == 5) dogs.push_back({breed.substr(10), {"1", "10", "12", "27"}});
      folder.put(fmt::format("{}/Annotation/{}", name, file), annotation_of(dogs));
      lists[image == 100] += file + ".jpg\n";
    }
  folder.put(name + "/train_list.txt", lists[0]);
  folder.put(name + "/test_list.txt", lists[1]);
}

// Two classes of two images; the numbering of classes.txt is not that of the names.
inline void write_birds(const TempFolder& folder, const std::string& name,
                        const std::string& first = "001.Auk",
                        const std::string& second = "002.Bee_eater") {
  folder.put(name + "/classes.txt", fmt::format("2 {}\n1 {}\n", second, first));
  std::string images, labels, splits, boxes;
  for (int i = 1; i <= 4; ++i) {
    const std::string file = fmt::format("{}/bird_{}.jpg", i <= 2 ? first : second, i);
    folder.put(name + "/images/" + file, drawn_jpeg(10 + i));
    images += fmt::format("{} {}\n", i, file);
    labels += fmt::format("{} {}\n", i, i <= 2 ? 1 : 2);
    splits += fmt::format("{} {}\n", i, i % 2);
    boxes += fmt::format("{} {}.5 2.0 20.0 15.0\n", i, i);
  }
  folder.put(name + "/images.txt", images);
  folder.put(name + "/image_class_labels.txt", labels);
  folder.put(name + "/train_test_split.txt", splits);
  folder.put(name + "/bounding_boxes.txt", boxes);
}

// Three training and two validation images: objects of four classes, one of which is in training
// images alone as a difficult one, and an image without objects.
inline void write_voc(const TempFolder& folder, const std::string& name) {
  auto image = [&, number = 0](const std::string& id,
                               const std::vector<DrawnObject>& objects) mutable {
    folder.put(fmt::format("{}/JPEGImages/{}.jpg", name, id), drawn_jpeg(++number));
    folder.put(fmt::format("{}/Annotations/{}.xml", name, id), annotation_of(objects));
  };
  image("2008_000001", {{"person"}, {"cow", {"10", "2", "39.5", "30"}}});
  image("2008_000002", {{"dog", {"1", "1", "40", "30"}}, {"cow", {"5", "5", "9", "9"}, true}});
  image("2008_000003",
        {{"cow"}, {"sofa", {"1", "2", "8", "9"}, true}, {"cow", {"2", "2", "7", "8"}}});
  image("2008_000010", {{"dog"}, {"person", {"6", "6", "30", "20"}}, {"cow"}});
  image("2008_000011", {});
  folder.put(name + "/ImageSets/Main/train.txt", "2008_000001\n2008_000002\n2008_000003\n");
  folder.put(name + "/ImageSets/Main/val.txt", "2008_000010\n2008_000011\n");
  folder.put(name + "/ImageSets/Main/cow_train.txt", "2008_000001  1\n");
}

}  // namespace concord::test
