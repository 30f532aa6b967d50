// What a user sees of something that says seldom how far it is.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "tools/cow/progress.hpp"

namespace cow::tool {
namespace {

TEST(Progress, IsShownForStepsOfWhichThereAreFew) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ShowProgress::always, "parts", 10);
    for (int i = 0; i < 3; ++i) {
      progress.step();
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
    }
  }
  const std::string shown = ::testing::internal::GetCapturedStderr();
  for (const char* line : {"parts: 1 of about 10, 10%", "parts: 2 of about 10, 20%", "parts: 3 of about 10, 30%"})
    EXPECT_NE(shown.find(line), shown.npos) << line << " is not in " << shown;
}

TEST(Progress, IsShownNowAndThenForStepsOfWhichThereAreMany) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ShowProgress::always, "parts", 0);
    for (int i = 0; i < 1'000; ++i) progress.step();
  }
  const std::string shown = ::testing::internal::GetCapturedStderr();
  EXPECT_LT(shown.size(), 1'000u);
}

}  // namespace
}  // namespace cow::tool
