#include "tests/testing/servers.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <pqxx/pqxx>
#include <sstream>
#include <thread>

#include "common/pg/migrate.h"

namespace crm::testing {
namespace machine {

namespace fs = std::filesystem;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "tests/testing: %s\n", what.c_str());
  std::exit(1);
}

// PostgreSQL refuses to run as root.
const passwd* ServerUser() { return geteuid() == 0 ? getpwnam("postgres") : nullptr; }

std::string PostgresBin() {
  if (const char* named = std::getenv("CRM_PG_BIN")) return named;
  for (const char* version : {"15", "16", "17", "14"}) {
    std::string dir = absl::StrCat("/usr/lib/postgresql/", version, "/bin");
    if (fs::exists(dir + "/postgres")) return dir;
  }
  return "";
}

std::string RedisBin() {
  for (const char* path : {"/usr/bin/redis-server", "/usr/local/bin/redis-server"}) {
    if (fs::exists(path)) return path;
  }
  return "";
}

int FreePort() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Die("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

// Starts a program that ends when this process does, its output in a file.
int Start(const std::vector<std::string>& arguments, const std::string& log, const passwd* user) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int parent = getpid();
  int pid = fork();
  if (pid < 0) Die("cannot fork");
  if (pid > 0) return pid;
  int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  dup2(out, 1);
  dup2(out, 2);
  for (int fd = 3; fd < 256; ++fd) close(fd);
  if (user != nullptr &&
      (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
    _exit(126);
  }
  // Changing the user clears this, so it comes after. To PostgreSQL SIGQUIT means: at once.
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != parent) _exit(125);
  execv(argv[0], argv.data());
  _exit(127);
}

void RunToEnd(const std::vector<std::string>& arguments, const std::string& log, const passwd* user) {
  int status = 0;
  if (waitpid(Start(arguments, log, user), &status, 0) < 0 || status != 0) {
    std::ifstream in(log);
    std::stringstream text;
    text << in.rdbuf();
    Die(absl::StrCat(absl::StrJoin(arguments, " "), " failed:\n", text.str()));
  }
}

std::string Tail(const std::string& log) {
  std::ifstream in(log);
  std::stringstream text;
  text << in.rdbuf();
  std::string all = text.str();
  return all.size() > 3000 ? all.substr(all.size() - 3000) : all;
}

// A fresh data folder, made once per build folder and copied per run: initdb takes longer than the rest together.
std::string Template(const std::string& bin) {
  fs::path build = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  fs::path home = build / "testing";
  fs::create_directories(home);
  fs::path ready = home / "pgdata";
  int lock = open((home / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  flock(lock, LOCK_EX);
  if (!fs::exists(ready / "PG_VERSION")) {
    char work[] = "/tmp/crm-initdb-XXXXXX";
    if (mkdtemp(work) == nullptr) Die("no temporary folder");
    const passwd* user = ServerUser();
    if (user != nullptr && chown(work, user->pw_uid, user->pw_gid) != 0) Die("cannot give away a folder");
    std::string data = absl::StrCat(work, "/pgdata");
    RunToEnd({bin + "/initdb", "-D", data, "-U", "postgres", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8",
              "--no-sync"},
             (home / "initdb.log").string(), user);
    RunToEnd({"/bin/cp", "-a", data, (home / "pgdata.new").string()}, (home / "initdb.log").string(), nullptr);
    fs::rename(home / "pgdata.new", ready);
    fs::remove_all(work);
  }
  close(lock);
  return ready.string();
}

// A test that crashes takes its servers along but leaves its folder: /tmp/crm-test-<pid>-<random>.
const std::string kFolder = "/tmp/crm-test-";
void RemoveLeftovers() {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator("/tmp", ignored)) {
    std::string path = entry.path().string();
    if (path.rfind(kFolder, 0) != 0) continue;
    int pid = std::atoi(path.c_str() + kFolder.size());
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) fs::remove_all(path, ignored);
  }
}

bool Listens(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool yes = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return yes;
}

template <typename Condition>
void WaitFor(const std::string& what, const std::string& log, int pid, Condition condition) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid || std::chrono::steady_clock::now() > deadline) {
      Die(absl::StrCat(what, " does not start:\n", Tail(log)));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void End(int& pid, int signal) {
  if (pid == 0) return;
  kill(pid, signal);
  waitpid(pid, nullptr, 0);
  pid = 0;
}

}  // namespace machine

Servers& Servers::Get() {
  static Servers servers;
  return servers;
}

std::string Servers::Source() {
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path().string();
}

Servers::Servers() {
  std::string bin = machine::PostgresBin();
  if (bin.empty()) missing_ = "PostgreSQL is not installed (Debian: postgresql-15); `tools/crm deps` installs it";
  if (machine::RedisBin().empty())
    missing_ = "Redis is not installed (Debian: redis-server); `tools/crm deps` installs it";
  if (machine::ServerUser() == nullptr && geteuid() == 0) missing_ = "there is no user postgres to run PostgreSQL as";
  if (!missing_.empty()) return;

  machine::RemoveLeftovers();
  dir_ = absl::StrCat(machine::kFolder, getpid(), "-XXXXXX");
  char* dir = dir_.data();
  if (mkdtemp(dir) == nullptr) machine::Die("no temporary folder");
  if (const passwd* user = machine::ServerUser()) {
    if (chown(dir, user->pw_uid, user->pw_gid) != 0) machine::Die("cannot give away a folder");
  }
  machine::RunToEnd({"/bin/cp", "-a", machine::Template(bin), dir_ + "/pgdata"}, dir_ + "/setup.log", nullptr);
  postgres_port_ = machine::FreePort();
  StartPostgres();
  redis_port_ = machine::FreePort();
  StartRedis();
}

Servers::~Servers() {
  machine::End(postgres_pid_, SIGQUIT);
  machine::End(redis_pid_, SIGKILL);
  std::error_code ignored;
  if (!dir_.empty()) std::filesystem::remove_all(dir_, ignored);
}

void Servers::StartPostgres() {
  if (postgres_pid_ != 0) return;
  std::string log = dir_ + "/postgres.log";
  // Crashes of the server keep what the kernel has been given, so a test may kill it without fsync.
  postgres_pid_ = machine::Start({machine::PostgresBin() + "/postgres",
                                  "-D",
                                  dir_ + "/pgdata",
                                  "-p",
                                  std::to_string(postgres_port_),
                                  "-k",
                                  dir_,
                                  "-c",
                                  "listen_addresses=127.0.0.1",
                                  "-c",
                                  "fsync=off",
                                  "-c",
                                  "full_page_writes=off",
                                  "-c",
                                  "max_connections=200",
                                  "-c",
                                  "shared_buffers=64MB",
                                  "-c",
                                  "autovacuum_naptime=5s",
                                  "-c",
                                  "jit=off",
                                  "-c",
                                  "log_min_messages=warning"},
                                 log, machine::ServerUser());
  machine::WaitFor("PostgreSQL", log, postgres_pid_, [&] {
    try {
      pqxx::connection probe(Admin() + " connect_timeout=2");
      return true;
    } catch (const std::exception&) {
      return false;
    }
  });
}

void Servers::StartRedis() {
  if (redis_pid_ != 0) return;
  std::string log = dir_ + "/redis.log";
  redis_pid_ = machine::Start({machine::RedisBin(), "--port", std::to_string(redis_port_), "--bind", "127.0.0.1",
                               "--save", "", "--appendonly", "no", "--dir", dir_},
                              log, machine::ServerUser());
  machine::WaitFor("Redis", log, redis_pid_, [&] { return machine::Listens(redis_port_); });
}

void Servers::KillPostgres() { machine::End(postgres_pid_, SIGQUIT); }
void Servers::KillRedis() { machine::End(redis_pid_, SIGKILL); }

std::string Servers::Admin() const {
  return absl::StrCat("host=127.0.0.1 port=", postgres_port_, " dbname=postgres user=postgres");
}

pg::DbOptions Servers::Db(const std::string& schema, const std::string& role) const {
  pg::DbOptions options;
  options.conninfo =
      absl::StrCat("host=127.0.0.1 port=", postgres_port_, " dbname=postgres user=", role.empty() ? schema : role);
  options.schema = schema;
  return options;
}

void Servers::Migrate(const std::string& schema) {
  if (migrated_[schema]) return;
  pg::MigrateOptions options;
  options.conninfo = Admin();
  options.schema = schema;
  options.common_dir = Source() + "/common/pg/migrations";
  options.service_dir = Source() + "/services/" + schema + "/migrations";
  absl::StatusOr<pg::MigrateReport> report = pg::Migrate(options);
  if (!report.ok()) machine::Die(std::string(report.status().message()));
  migrated_[schema] = true;
}

void Servers::Clear(const std::string& schema) {
  std::string tables = Value(absl::StrCat(
      "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = '", schema,
      "' AND tablename <> 'migration'"));
  if (!tables.empty()) Sql("TRUNCATE " + tables);
}

std::vector<std::vector<std::string>> Servers::Sql(const std::string& sql) const {
  pqxx::connection connection(Admin());
  pqxx::nontransaction session(connection);
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : session.exec(sql)) {
    std::vector<std::string>& out = rows.emplace_back();
    for (const auto& field : row) out.push_back(field.is_null() ? "" : field.c_str());
  }
  return rows;
}

std::string Servers::Value(const std::string& sql) const {
  auto rows = Sql(sql);
  return rows.empty() || rows[0].empty() ? "" : rows[0][0];
}

}  // namespace crm::testing
