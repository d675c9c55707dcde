#include "tools/common/feature_extraction.h"

#include "engine/autograd.h"
#include "tools/common/classification.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

// The features of a batch and its logits from one pass where the layer allows it.
struct Outputs {
  Tensor features;
  Tensor logits;
};

class Extractor {
 public:
  Extractor(Network& network, std::string layer) : network_(network), layer_(std::move(layer)) {}

  // On the host.
  Outputs run(const Tensor& images) {
    Outputs outputs = run_on_device(images);
    return {outputs.features.to(Device{}), outputs.logits.to(Device{})};
  }

 private:
  Outputs run_on_device(const Tensor& images) {
    Outputs outputs;
    outputs.features = network_.features(images, layer_);
    if (continuable_) {
      try {
        outputs.logits = network_.from_features(outputs.features, layer_);
        return outputs;
      } catch (const Error&) {
        continuable_ = false;  // inside a residual block: the rest needs the whole pass
      }
    }
    outputs.logits = network_(images);
    return outputs;
  }

  Network& network_;
  std::string layer_;
  bool continuable_ = true;
};

}  // namespace

Shape extract_features(Network& network, const std::string& layer, Loader& loader,
                       const std::string& data,
                       const std::function<std::unique_ptr<FeatureStoreWriter>()>& open) {
  const NoGradGuard no_gradients;
  network.set_training(false);
  Extractor extractor(network, layer);
  std::unique_ptr<FeatureStoreWriter> writer;
  Progress progress("extracting", loader.size(), "images");
  std::int64_t done = 0;
  Shape shape;
  loader.start(0);
  for (Batch batch; loader.next(batch);) {
    stop_if_interrupted();
    const Outputs outputs = extractor.run(batch.images);
    if (writer == nullptr) writer = open();
    const std::int64_t count = batch.labels.numel();
    std::vector<std::uint8_t> top1;
    std::vector<std::uint8_t> top3;
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t label = batch.labels.data<std::int64_t>()[i];
      const bool known = label >= 0 && label < network.classes();
      const std::int64_t rank = known ? rank_of_label(outputs.logits, i, label) : 3;
      top1.push_back(rank < 1);
      top3.push_back(rank < 3);
      const auto sample = static_cast<std::size_t>(batch.indices[static_cast<std::size_t>(i)]);
      names.push_back(name_of_sample(loader.set().samples[sample], data));
    }
    writer->append(outputs.features, batch.labels, top1, top3, names);
    shape = outputs.features.shape();
    done += count;
    progress.update(done);
  }
  check(writer != nullptr, "{}: no image could be read", loader.set().root.string());
  writer->finish();
  if (loader.skipped() > 0)
    warn("{}: {} of {} images could not be read and are not in the store",
         loader.set().root.string(), loader.skipped(), loader.size());
  return shape.with(0, done);
}

}  // namespace concord::tool
