// `cow completion`: what a shell needs to complete command lines, from CLI11's own list of commands and options.
#include <fmt/core.h>

#include <memory>
#include <string>

#include "session.hpp"

namespace cow::tool {
namespace {

std::string options_of(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words += " --" + name;
    for (const std::string& name : option->get_snames()) words += " -" + name;
  }
  return words.empty() ? words : words.substr(1);
}

void print_bash(const CLI::App& app) {
  std::string names, cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : " ") + command->get_name();
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(), options_of(*command));
  }
  fmt::print(R"(# Completion for bash; made by `cow completion bash`.
_cow() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command= word words
  COMPREPLY=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    if [[ " {0} " == *" $word "* ]]; then
      command=$word
      break
    fi
  done
  case $command in
    '') words='{0} {1}' ;;
{2}  esac
  if [[ $previous == --progress ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$current")
  elif [[ -z $command || $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _cow cow
)",
             names, options_of(app), cases);
}

}  // namespace

void add_completion(CLI::App& app, Session& session) {
  CLI::App& command = *app.add_subcommand("completion", "Write what a shell needs to complete command lines of cow.");
  command.group("Commands");
  auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "bash")
      ->required()
      ->check(CLI::IsMember({"bash"}).description(""))
      ->type_name("");
  command.callback([&app, &session] { session.run = [&app] { print_bash(app); }; });
}

}  // namespace cow::tool
