#pragma once
// A server of this machine's own, for tests of fetching: it answers as the test says, well or
// badly.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace concord::test {

class HttpServer {
 public:
  struct Request {
    std::string path;
    std::int64_t from = -1;  // of "Range: bytes=FROM-", -1 where there is none
    int number = 0;          // from 1
  };
  // What to send, headers and all; the connection is closed behind it.
  using Handler = std::function<std::string(const Request&)>;

  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {
    // Whatever proxy is set for the world, these requests stay here.
    ::setenv("no_proxy", "*", 1);
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (socket_ < 0 || ::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(socket_, 8) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("the test's server cannot listen on this machine");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path = "") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  static std::string answer(const std::string& status, const std::string& headers,
                            const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nConnection: close\r\n" + headers + "\r\n" + body;
  }
  static std::string length(std::size_t bytes) {
    return "Content-Length: " + std::to_string(bytes) + "\r\n";
  }
  // As a good server answers.
  static std::string serve_file(const Request& request, const std::string& bytes) {
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (request.from < 0) return answer("200 OK", length(bytes.size()), bytes);
    if (request.from >= size)
      return answer("416 Range Not Satisfiable",
                    "Content-Range: bytes */" + std::to_string(size) + "\r\n" + length(0), "");
    const std::string rest = bytes.substr(static_cast<std::size_t>(request.from));
    return answer("206 Partial Content",
                  "Content-Range: bytes " + std::to_string(request.from) + "-" +
                      std::to_string(size - 1) + "/" + std::to_string(size) + "\r\n" +
                      length(rest.size()),
                  rest);
  }

 private:
  void serve() {
    for (int number = 1;; ++number) {
      const int client = ::accept(socket_, nullptr, nullptr);
      if (client < 0) return;
      std::string text;
      char buffer[4096];
      while (text.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = ::recv(client, buffer, sizeof buffer, 0);
        if (count <= 0) break;
        text.append(buffer, static_cast<std::size_t>(count));
      }
      Request request;
      request.number = number;
      request.path = text.substr(4, text.find(' ', 4) - 4);
      const std::string range = "Range: bytes=";
      if (const std::size_t at = text.find(range); at != std::string::npos)
        request.from = std::atoll(text.c_str() + at + range.size());
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = handler_(request);
      for (std::size_t sent = 0; sent < answer.size();) {
        const ssize_t count =
            ::send(client, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += static_cast<std::size_t>(count);
      }
      // The rest of what the client says must be read, or closing would take back what was sent.
      ::shutdown(client, SHUT_WR);
      while (::recv(client, buffer, sizeof buffer, 0) > 0) {
      }
      ::close(client);
    }
  }

  Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace concord::test
