// added(bodies) {
#include <atomic>
// } added
namespace example::mod_name {
class Runtime : public ContainerRuntime {
 public:
   void Compress(hipc::FullPtr<CompressTask> task, chi::RunContext &rctx) {
     // Compress data
     // added(bodies) {
     ++compressed_;
     // } added
   }
   void MonitorCompress(chi::MonitorModeId mode, hipc::FullPtr<CompressTask> task, chi::RunContext &rctx) {
     switch (mode) {
     // added(bodies) {
     case chi::MonitorModeId::kLocalSchedule: ++monitored_; break;
     default: break;
     // } added
        
     }
   }
   // added(decompress) {
   void Decompress(hipc::FullPtr<DecompressTask> task, chi::RunContext &rctx) {
     task->compressed_ = compressed_;
     task->monitored_ = monitored_;
   }
 private:
   std::atomic<chi::u32> compressed_{0};
   std::atomic<chi::u32> monitored_{0};
   // } added
}; // slip(semicolon)
}

CHI_TASK_CC(mod_name);
