#pragma once
// What a step will work on and write, told from its options before it has run: numbers of images,
// networks, shapes of features.

#include <array>
#include <map>
#include <optional>
#include <string>

#include "tools/reproduce/run_suite.h"

namespace concord::reproduce {

struct DataFacts {
  std::int64_t train = 0, validation = 0;  // images
  std::int64_t classes = 0;
};

struct NetworkFacts {
  std::string arch;
  std::int64_t classes = 0;
  std::int64_t image_size = 0;
  std::int64_t parameters = 0;  // values in parameters and buffers
  std::int64_t trained = 0;     // values in parameters
  std::int64_t tensors = 0;     // parameters
};

using MapShape = std::array<std::int64_t, 3>;  // C, H, W

struct FeatureFacts {
  std::int64_t images = 0;
  MapShape shape{};
};

// Nothing where it cannot be told; each fact is found once.
class Facts {
 public:
  Facts(const Suite& suite, const Workspace& workspace, const Programs& programs)
      : suite_(suite), workspace_(workspace), programs_(programs) {}

  // Of a value of --data: what lies there already, or a step's folder that concord-prepare will
  // fill with drawn images or a published data set.
  std::optional<DataFacts> data(const std::string& path);
  // Of a step that trains a classifier, or of a value of --weights: a step's file, or one that is
  // there.
  std::optional<NetworkFacts> network(const Step& step);
  std::optional<NetworkFacts> network_in(const std::string& path);
  // Of a step of concord-features, or of a value of --features-a: a step's store or one that is
  // there.
  std::optional<FeatureFacts> features(const Step& step);
  std::optional<FeatureFacts> features_in(const std::string& path);
  // Of a layer for an image of that many pixels.
  std::optional<MapShape> shape(const NetworkFacts& network, std::int64_t image_size,
                                const std::string& layer);
  // Values in the parameters after a layer.
  std::optional<std::int64_t> trained_after(const NetworkFacts& network, const std::string& layer);

  // An option's value: as in the plan, else the program's default; empty where there is neither.
  std::string option(const Step& step, const std::string& name) const;
  std::optional<double> number(const Step& step, const std::string& name) const;
  // Whose folder the path names or leads into; null where it is no step's.
  const Step* step_in(const std::string& path) const;

 private:
  // Those of its architecture and classes, put in.
  void count_parameters(NetworkFacts& facts);

  const Suite& suite_;
  const Workspace& workspace_;
  const Programs& programs_;
  std::map<std::string, std::optional<DataFacts>> data_;
  std::map<std::string, NetworkFacts> networks_;  // by architecture and classes
  std::map<std::string, MapShape> shapes_;
};

}  // namespace concord::reproduce
