#include "data/download.h"

#include <random>

#include "data/sha256.h"
#include "tests/data/http_server.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

namespace fs = std::filesystem;
using Request = HttpServer::Request;

std::string some_bytes(std::size_t size = 400'000) {
  std::mt19937 random(3);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::string sum_of(const std::string& bytes) {
  Sha256 sum;
  sum.add(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  return sum.digest();
}

PublishedFile published(const std::string& bytes, const std::string& url) {
  return {"set.tar", url, sum_of(bytes), static_cast<std::int64_t>(bytes.size())};
}

TEST(Download, FetchesOnceAndKeepsWhatIsThere) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  HttpServer server([&](const Request& request) { return HttpServer::serve_file(request, bytes); });
  const PublishedFile file = published(bytes, server.url("/a/set.tar?download=1"));
  std::int64_t last = 0;
  const fs::path path =
      download(file, folder / "new/folder",
               {.progress = [&](std::int64_t done, std::int64_t) { last = done; }});
  EXPECT_EQ(path, folder / "new/folder/set.tar");
  EXPECT_TRUE(read_bytes(path) == bytes);
  EXPECT_EQ(last, static_cast<std::int64_t>(bytes.size()));
  EXPECT_EQ(download(file, folder / "new/folder"), path);
  ASSERT_EQ(server.requests().size(), 1U) << "what is there is not fetched again";
  EXPECT_EQ(server.requests()[0].path, "/a/set.tar?download=1");
  EXPECT_EQ(fs::directory_iterator(folder / "new/folder")->path(), path);

  write_bytes(path, "somebody's");
  expect_error([&] { download(file, folder / "new/folder"); },
               {"set.tar: is there already", "10 bytes", "left alone"});
  EXPECT_EQ(read_bytes(path), "somebody's");
}

TEST(Download, TakesTheNameFromAMirror) {
  const TempFolder folder;
  const std::string bytes = some_bytes(1000);
  HttpServer server([&](const Request& request) { return HttpServer::serve_file(request, bytes); });
  const PublishedFile file = published(bytes, "http://127.0.0.1:1/none");
  download(file, folder / "a", {.mirror = server.url("/deep")});
  download(file, folder / "b", {.mirror = server.url("/deep/")});
  for (const Request& request : server.requests()) EXPECT_EQ(request.path, "/deep/set.tar");
  for (const char* mirror : {"ftp://127.0.0.1/", "file:///etc", "127.0.0.1", "HTTP"})
    expect_error([&] { download(file, folder / "c", {.mirror = mirror}); }, {mirror, "https://"});
  EXPECT_FALSE(fs::exists(folder / "c"));
}

TEST(Download, GoesOnFromWhatIsThere) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  HttpServer server([&](const Request& request) { return HttpServer::serve_file(request, bytes); });
  folder.put("set.tar.partial", bytes.substr(0, 123'456));
  download(published(bytes, server.url("/set.tar")), folder.path());
  EXPECT_TRUE(read_bytes(folder / "set.tar") == bytes);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(server.requests()[0].from, 123'456);
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"set.tar"}));
}

TEST(Download, AWholePartialFileNeedsNoServer) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  folder.put("set.tar.partial", bytes);
  download(published(bytes, "http://127.0.0.1:1/set.tar"), folder.path());
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"set.tar"}));
}

// As with weights, of which the name tells the sum's beginning and nothing the size.
TEST(Download, DoesWithoutASize) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  HttpServer server([&](const Request& request) { return HttpServer::serve_file(request, bytes); });
  PublishedFile file{"net.pth", server.url("/net.pth"), sum_of(bytes).substr(0, 8)};
  download(file, folder.path());
  EXPECT_TRUE(read_bytes(folder / "net.pth") == bytes);
  fs::rename(folder / "net.pth", folder / "net.pth.partial");
  download(file, folder.path());  // the server says that nothing is behind it
  EXPECT_TRUE(read_bytes(folder / "net.pth") == bytes);
  file.sha256 = "00000000";
  expect_error([&] { download(file, folder.path()); }, {"is there already", "00000000..."});
}

TEST(Download, BeginsAnewWhereTheServerCannotGoOn) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  HttpServer server([&](const Request&) {
    return HttpServer::answer("200 OK", HttpServer::length(bytes.size()), bytes);
  });
  folder.put("set.tar.partial", std::string(5000, 'x'));
  std::vector<std::string> notices;
  download(published(bytes, server.url("/set.tar")), folder.path(),
           {.notice = [&](const std::string& text) { notices.push_back(text); }});
  EXPECT_TRUE(read_bytes(folder / "set.tar") == bytes);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("5000 bytes: beginning anew"), std::string::npos) << notices[0];
}

TEST(Download, AsksAgainWhenTheServerBreaksOff) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  HttpServer server([&](const Request& request) {
    const std::string whole = HttpServer::serve_file(request, bytes);
    return request.number < 3 ? whole.substr(0, 150'000) : whole;
  });
  download(published(bytes, server.url("/set.tar")), folder.path());
  EXPECT_TRUE(read_bytes(folder / "set.tar") == bytes);
  EXPECT_EQ(server.requests().size(), 3U);
  EXPECT_GT(server.requests()[2].from, server.requests()[1].from);
}

TEST(Download, KeepsWhatCameWhenTheServerIsGone) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  HttpServer server([&](const Request& request) {
    return request.number == 1 ? HttpServer::serve_file(request, bytes).substr(0, 100'000) : "";
  });
  const PublishedFile file = published(bytes, server.url("/set.tar"));
  expect_error([&] { download(file, folder.path()); },
               {"/set.tar: cannot be fetched", "bytes are kept", "curl -L -C - -o set.tar"});
  EXPECT_EQ(folder.listing(), (std::vector<std::string>{"set.tar.partial"}));
  EXPECT_GT(fs::file_size(folder / "set.tar.partial"), 90'000U);
  // Stopped by hand.
  fs::remove(folder / "set.tar.partial");
  HttpServer good([&](const Request& request) { return HttpServer::serve_file(request, bytes); });
  expect_error(
      [&] {
        download(published(bytes, good.url("/set.tar")), folder.path(),
                 {.progress = [](std::int64_t done, std::int64_t) {
                   if (done > 0) fail("interrupted");
                 }});
      },
      {"interrupted"});
  EXPECT_FALSE(fs::exists(folder / "set.tar"));
  const std::string kept = read_bytes(folder / "set.tar.partial");
  EXPECT_GT(kept.size(), 0U);
  EXPECT_TRUE(bytes.starts_with(kept));
}

// What came so far outlives a server that sends something else.
TEST(Download, KeepsWhatCameWhereSomethingElseIsOffered) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  const std::string partial = bytes.substr(0, 100'000);
  const std::string page = "a page that says: log in first";
  std::string headers = HttpServer::length(page.size());
  std::string status = "200 OK";
  HttpServer server([&](const Request&) { return HttpServer::answer(status, headers, page); });
  PublishedFile file = published(bytes, server.url("/set.tar"));
  folder.put("set.tar.partial", partial);
  const auto refused = [&](const std::vector<std::string>& parts) {
    expect_error([&] { download(file, folder.path()); }, parts);
    EXPECT_TRUE(read_bytes(folder / "set.tar.partial") == partial) << parts[0];
  };
  refused({"offers 30 bytes", "400000"});
  headers = "";  // it ends where the server hangs up
  refused({"cannot go on from the 100000 bytes", "does not say", "set.tar.partial"});
  file.bytes = -1;  // as of weights
  refused({"cannot go on from the 100000 bytes", "does not say"});
  headers = HttpServer::length(page.size());
  refused({"cannot go on from the 100000 bytes", "offers 30 bytes instead"});
  file.bytes = static_cast<std::int64_t>(bytes.size());
  status = "416 Range Not Satisfiable";
  refused({"no more than 100000 bytes", "400000", "are kept"});
}

TEST(Download, RefusesWhatIsNotThePublishedFile) {
  const TempFolder folder;
  const std::string bytes = some_bytes();
  std::string other = bytes;
  other[77] = static_cast<char>(other[77] + 1);
  std::string sent = other;
  HttpServer server([&](const Request& request) { return HttpServer::serve_file(request, sent); });
  const PublishedFile file = published(bytes, server.url("/set.tar"));
  expect_error([&] { download(file, folder.path()); },
               {"/set.tar", sum_of(other), sum_of(bytes), "removed"});
  EXPECT_TRUE(folder.listing().empty()) << "neither under its name nor as a partial file";
  sent = bytes + "more";
  expect_error([&] { download(file, folder.path()); }, {"offers 400004 bytes", "400000"});
  sent = "a page that says: log in first";
  expect_error([&] { download(file, folder.path()); }, {"offers 30 bytes", "400000"});
  EXPECT_TRUE(folder.listing().empty());
  // A partial file of another edition spoils what comes behind it.
  sent = bytes;
  folder.put("set.tar.partial", other.substr(0, 1000));
  expect_error([&] { download(file, folder.path()); }, {sum_of(bytes), "try again"});
  download(file, folder.path());
  EXPECT_TRUE(read_bytes(folder / "set.tar") == bytes);
}

TEST(Download, RefusesServersThatMisbehave) {
  const TempFolder folder;
  const std::string bytes = some_bytes(5000);
  const auto refused = [&](const HttpServer::Handler& handler,
                           const std::vector<std::string>& parts, const std::string& partial = "") {
    HttpServer server(handler);
    if (!partial.empty()) folder.put("set.tar.partial", partial);
    expect_error([&] { download(published(bytes, server.url("/set.tar")), folder.path()); }, parts);
    EXPECT_FALSE(fs::exists(folder / "set.tar"));
    fs::remove(folder / "set.tar.partial");
  };
  const auto status = [](const std::string& line, const std::string& headers = "") {
    return [=](const Request&) {
      return HttpServer::answer(line, headers + HttpServer::length(2), "no");
    };
  };
  refused(status("404 Not Found"), {"the server answers 404", "curl -L"});
  refused(status("500 Oh"), {"the server answers 500"});
  refused(status("302 Found", "Location: file:///etc/passwd\r\n"),
          {"/set.tar: cannot be fetched", "rotocol"});
  refused(status("302 Found", "Location: ftp://127.0.0.1/set.tar\r\n"),
          {"cannot be fetched", "rotocol"});
  refused(status("302 Found", "Location: /set.tar\r\n"), {"cannot be fetched", "redirects"});
  refused([](const Request&) { return std::string("no HTTP at all"); }, {"cannot be fetched"});
  refused([](const Request&) { return std::string(); }, {"cannot be fetched"});
  // More than it announces, or without announcing.
  refused([&](const Request&) { return HttpServer::answer("200 OK", "", bytes + bytes); },
          {"more than the 5000 bytes"});
  // Another part than the one that is missing.
  refused(
      [&](const Request&) {
        return HttpServer::answer("206 Partial Content", "Content-Range: bytes 0-4999/5000\r\n",
                                  bytes);
      },
      {"another part"}, bytes.substr(0, 100));
  refused([&](const Request&) { return HttpServer::answer("206 Partial Content", "", bytes); },
          {"another part"}, bytes.substr(0, 100));
  EXPECT_TRUE(folder.listing().empty());
}

TEST(Download, FollowsARedirect) {
  const TempFolder folder;
  const std::string bytes = some_bytes(5000);
  HttpServer server([&](const Request& request) {
    return request.path == "/there"
               ? HttpServer::serve_file(request, bytes)
               : HttpServer::answer("302 Found", "Location: /there\r\n" + HttpServer::length(2),
                                    "no");
  });
  folder.put("set.tar.partial", bytes.substr(0, 1000));
  download(published(bytes, server.url("/here")), folder.path());
  EXPECT_TRUE(read_bytes(folder / "set.tar") == bytes);
}

TEST(Download, SaysWhatToDoWithoutANetwork) {
  const TempFolder folder;
  ::setenv("no_proxy", "*", 1);
  // Nobody listens on port 1.
  expect_error([&] { download(published("x", "http://127.0.0.1:1/set.tar"), folder.path()); },
               {"http://127.0.0.1:1/set.tar: cannot be fetched", "curl -L -C - -o set.tar"});
  EXPECT_TRUE(folder.listing().empty());
  expect_error([&] { download(published("x", "http://127.0.0.1:1/set.tar"), folder / "new"); },
               {"cannot be fetched"});
  EXPECT_TRUE(folder.listing().empty()) << "the folder that it made";
  folder.put("file", "x");
  expect_error([&] { download(published("x", "http://127.0.0.1:1/set.tar"), folder / "file"); },
               {"file"});
}

}  // namespace
}  // namespace concord::test
