#pragma once
// A network's features at one layer over a data set, into a feature store.

#include <functional>
#include <memory>
#include <string>

#include "data/feature_store.h"
#include "data/loader.h"
#include "models/network.h"

namespace concord::tool {

// Runs the network over one epoch of the loader and appends what `layer` gives to the store that
// `open` makes once the first batch has been computed, with labels, whether they are among the
// network's top 1 and top 3 (never, for a label that is no class of it), and names below `data`.
// Returns the shape of all features. Throws Interrupted on a signal, and when no image can be read.
Shape extract_features(Network& network, const std::string& layer, Loader& loader,
                       const std::string& data,
                       const std::function<std::unique_ptr<FeatureStoreWriter>()>& open);

}  // namespace concord::tool
