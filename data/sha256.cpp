#include "data/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

struct Sha256::State {
  struct Free {
    void operator()(EVP_MD_CTX* owned) const { ::EVP_MD_CTX_free(owned); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{::EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(state_->context != nullptr &&
            ::EVP_DigestInit_ex(state_->context.get(), ::EVP_sha256(), nullptr) == 1,
        "SHA-256 is not to be had from this system's libcrypto");
}

Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::uint8_t> bytes) {
  check(::EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1,
        "libcrypto failed to add to a SHA-256");
}

std::string Sha256::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int count = 0;
  check(::EVP_DigestFinal_ex(state_->context.get(), bytes.data(), &count) == 1,
        "libcrypto failed to finish a SHA-256");
  std::string text;
  for (unsigned int i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string sha256_of_file(const fs::path& path, const ProgressCallback& progress) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  check(file != nullptr, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  std::error_code error;
  const auto total = static_cast<std::int64_t>(fs::file_size(path, error));
  Sha256 sum;
  std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
  std::int64_t done = 0;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    sum.add(std::span(buffer).first(count));
    done += static_cast<std::int64_t>(count);
    if (progress && !error) progress(done, total);
  }
  check(std::ferror(file.get()) == 0, "{}: reading failed: {}", path.string(),
        std::strerror(errno));
  return sum.digest();
}

}  // namespace concord
