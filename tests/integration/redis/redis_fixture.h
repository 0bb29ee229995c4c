// What the tests of common/redis share: a private Redis that they may stop, empty and kill.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/redis/client.h"
#include "tests/testing/run.h"
#include "tests/testing/servers.h"

namespace crm::redis {

class RedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CRM_NEED_SERVERS();
    crm::testing::Servers::Get().StartRedis();
    options_.port = crm::testing::Servers::Get().redis_port();
    ASSERT_TRUE(Run(Command(Args("FLUSHALL"))).ok());
  }
  void TearDown() override {
    if (stopped_ != 0) kill(stopped_, SIGCONT);
  }

  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(options_, std::vector{loop_.executor()});
    return *client_;
  }
  Async<Reply> Command(Args args) { return client().Command(std::move(args)); }
  template <typename T>
  T Run(asio::awaitable<T> coroutine) {
    return loop_.Run(std::move(coroutine));
  }
  // A hang: the process is there, the port too, but nobody answers.
  void StopRedis() {
    Reply info = *Run(Command(Args("INFO", "server")));
    size_t at = info.text.find("process_id:");
    ASSERT_NE(at, std::string::npos);
    stopped_ = std::stoi(info.text.substr(at + 11));
    ASSERT_EQ(kill(stopped_, SIGSTOP), 0);
  }
  void ContinueRedis() {
    kill(stopped_, SIGCONT);
    stopped_ = 0;
  }
  // Asks until Redis answers again; the time that it took.
  std::chrono::milliseconds UntilAnswered() {
    auto begin = std::chrono::steady_clock::now();
    while (!Run(client().Ping()).ok()) {
      if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(20)) {
        ADD_FAILURE() << "Redis did not answer again";
        break;
      }
      loop_.RunFor(std::chrono::milliseconds(10));
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  }

  crm::testing::Loop loop_;
  Options options_;
  std::unique_ptr<Client> client_;
  pid_t stopped_ = 0;
};

}  // namespace crm::redis
