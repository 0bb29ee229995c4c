// Prints one file of a FileDescriptorSet as .proto text, so that protoc and buf can read it.
// usage: descriptor_to_proto <set.binpb> <file name in it>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <fstream>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream in(argv[1], std::ios::binary);
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromIstream(&in)) return 1;
  google::protobuf::DescriptorPool pool;
  for (const auto& file : set.file()) {
    if (pool.BuildFile(file) == nullptr) return 1;
  }
  const auto* file = pool.FindFileByName(argv[2]);
  if (file == nullptr) return 1;
  std::cout << file->DebugString();
}
