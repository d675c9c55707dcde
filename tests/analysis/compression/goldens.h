#pragma once
// By make_goldens.py, with numpy 2.4.6.

#include <cstdint>
#include <vector>

namespace concord::test {

inline constexpr double kDeviation = 0.09178282488692421;
inline constexpr int kKeptAtOneFifth = 2042;
inline constexpr int kKeptAtOne = 844;
// k-means of those kept at one fifth.
inline const std::vector<double> kCentroids1 = {0.014763147346711882};
inline const std::vector<int> kSizes1 = {2042};
inline const std::vector<double> kCentroids5 = {-0.20373311457110616, -0.05782787069268452,
                                                0.041944908963161, 0.13516928660419752,
                                                0.24736651048064232};
inline const std::vector<int> kSizes5 = {287, 509, 781, 265, 200};
inline const std::vector<double> kCentroids32 = {
    -0.28150681033730507, -0.26473509004482854, -0.2473582284791129,   -0.22952784299850465,
    -0.2111178966182651,  -0.19206526047653621, -0.172633796166151,    -0.1528642624616623,
    -0.13286954893710765, -0.1128492494328664,  -0.09290872244485493,  -0.07331666808861953,
    -0.05450022633965701, -0.03663998489525724, -0.024172520843913425, 0.023305746264755726,
    0.03507763458796406,  0.04811668751591986,  0.062080098536070875,  0.08113472204502314,
    0.10100513114593923,  0.12156723144239392,  0.14257878552262598,   0.16361655390008967,
    0.18458026370336844,  0.2052690971356172,   0.2255718745291233,    0.2454517890106548,
    0.2646385590235392,   0.28320230011429104,  0.301277566414613};
inline const std::vector<int> kSizes32 = {24, 26, 28, 30,  33,  36,  39,  43,  47, 52, 58,
                                          65, 73, 94, 148, 250, 186, 154, 127, 73, 64, 58,
                                          52, 47, 43, 39,  36,  33,  30,  28,  26};
// Of (j j 7919 mod 1000) + 1 symbols j, j = 0 .. 299.
inline constexpr std::uint64_t kHuffmanBits = 1274492;

}  // namespace concord::test
