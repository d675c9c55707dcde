#pragma once
// The panel of spec section 5.6 as one picture: per row the photograph, A's and B's map, y, the
// orders and x_delta on one symmetric colour scale, each with its largest |value| below, and bars
// of 1, p_1, p_0 under the orders. A value is a block of whole pixels.

#include "tools/common/feature_maps.h"

namespace concord::tool {

Image draw_panel(const MapSheet& sheet);

}  // namespace concord::tool
