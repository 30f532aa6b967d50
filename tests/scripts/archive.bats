# scripts/archive: the same bytes whoever makes it, and identifiers that git itself confirms.
load support

repository() { # in $checkout, with all that a tree may hold; $tag is an annotated one of its commit
  cd "$checkout" || exit 1
  git init -q -b main
  git config user.name a
  git config user.email a@example.org
  printf "project('tiny', 'cpp',\n  version: '1.2.3')\n" >meson.build
  mkdir -p names/a "names/with space"
  touch names/a.b names/a/in names/a0 "names/with space/ümlaut" names/empty
  head -c 3000 /dev/urandom >names/bytes
  ln -s ../meson.build names/link
  mkdir -p "$(printf 'deep/%.0s' {1..30})" && touch "$(printf 'deep/%.0s' {1..30})file"
  chmod +x names/a0
  printf '*.bytes binary\r\nwith a carriage return\r\n' >names/lines
  git add -A
  git commit -q -m one
  git tag -a -m release v1
  archive="$base/made/cow_cache-1.2.3-$(git rev-parse HEAD | cut -c1-12).tar.gz"
}

made() { run "$checkout/scripts/archive" --output="$base/made" "$@"; [[ $status == 0 ]] || { echo "$output"; return 1; }; }
listed() { sed -n "s/^$1: //p" "$archive.swhid"; }

@test "the same bytes at another time, in another clone, with other settings" {
  repository
  made
  [[ $output == "$archive"* && -f $archive && -f $archive.sha256 && -f $archive.swhid ]] || { echo "$output"; return 1; }
  cp "$archive" "$base/first"
  sleep 1.1
  git clone -q "$checkout" "$base/clone"
  git -C "$base/clone" config tar.umask 0077
  git -C "$base/clone" config core.autocrlf true
  echo 'names export-ignore' >"$base/attributes"
  git -C "$base/clone" config core.attributesFile "$base/attributes"
  touch "$base/clone/not committed"
  (umask 077 && TZ=Asia/Tokyo LC_ALL=C "$base/clone/scripts/archive" main --output="$base/other")
  cmp "$base/first" "$base/other/${archive##*/}"
  (cd "$base/other" && sha256sum --check --quiet ./*.sha256)
}

@test "the identifiers are git's" {
  repository
  made v1
  [[ $(listed directory) == "swh:1:dir:$(git rev-parse 'v1^{tree}')" ]]
  [[ $(listed revision) == "swh:1:rev:$(git rev-parse 'v1^{commit}')" ]]
  [[ $(listed release) == "swh:1:rel:$(git rev-parse v1)" ]]
  git tag light # no release
  made
  [[ $(listed release) == "swh:1:rel:$(git rev-parse v1)" ]]
  local commit tag
  commit=$(git rev-parse HEAD | tr a-f A-F)
  tag=$(git rev-parse v1 | tr a-f A-F)
  bytes_of() { printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; }
  {
    printf 'alias HEAD\0%s:refs/heads/main' 15
    printf 'revision refs/heads/main\00020:' && bytes_of "$commit"
    printf 'revision refs/tags/light\00020:' && bytes_of "$commit"
    printf 'release refs/tags/v1\00020:' && bytes_of "$tag"
  } >"$base/manifest"
  [[ $(listed snapshot) == "swh:1:snp:$(git hash-object --literally -t snapshot "$base/manifest")" ]]
}

@test "--check: agrees, and says what does not" {
  repository
  made
  run scripts/archive --check "$archive"
  [[ $status == 0 && $output == *"those of the revision $(git rev-parse HEAD)"* ]] || { echo "$output"; return 1; }

  cp -r "$base/made" "$base/elsewhere"
  git checkout -q --orphan other && git commit -q -m two && git branch -q -D main && git tag -d v1 >/dev/null
  git reflog expire --expire=now --all && git gc -q --prune=now
  run scripts/archive --check "$archive"
  [[ $status == 0 && $output == *"does not have the revision"* ]] || { echo "$output"; return 1; }

  printf 'x' >>"$archive"
  run scripts/archive --check "$archive"
  fails_with 1 "checksum: "

  # Packed again with another file in it, its checksum forged as well.
  mkdir "$base/unpacked"
  tar -C "$base/unpacked" -xf "$base/elsewhere/${archive##*/}"
  echo more >>"$base/unpacked/$(basename "$archive" .tar.gz)/names/empty"
  tar -C "$base/unpacked" -czf "$archive" "$(basename "$archive" .tar.gz)"
  local sum
  sum=$(sha256sum "$archive" | cut -d' ' -f1)
  echo "$sum  ${archive##*/}" >"$archive.sha256"
  run scripts/archive --check "$archive"
  fails_with 1 "sha256: "
  sed -i "s/^sha256: .*/sha256: $sum/; s/^tar-sha256: .*/tar-sha256: $(zcat "$archive" | sha256sum | cut -d' ' -f1)/" "$archive.swhid"
  run scripts/archive --check "$archive"
  fails_with 1 "directory: "

  echo "no archive" >"$archive"
  echo "$(sha256sum "$archive" | cut -d' ' -f1)  x" >"$archive.sha256"
  sed -i "s/^sha256: .*/sha256: $(sha256sum "$archive" | cut -d' ' -f1)/" "$archive.swhid"
  run scripts/archive --check "$archive"
  fails_with 1 "is no archive"
  rm "$archive.swhid"
  run scripts/archive --check "$archive"
  fails_with 1 "No such file"
}

@test "an archive that would not hold the revision is not made" {
  repository
  echo 'names export-ignore' >.gitattributes
  git add -A && git commit -q -m two
  run scripts/archive --output="$base/made"
  fails_with 1 "not what the revision holds" && [[ ! -e $base/made ]]
  git checkout -q v1
  git rm -q meson.build && git commit -q -m three
  run scripts/archive --output="$base/made"
  fails_with 1 "meson.build" && [[ ! -e $base/made ]]
}

@test "nonsense" {
  repository
  local arguments
  for arguments in "--nonsense" "HEAD HEAD" "--check=$base/nowhere" "--check=meson.build HEAD" "--check=meson.build --output=x" "--help HEAD"; do
    # shellcheck disable=SC2086
    run scripts/archive $arguments
    fails_with 2 "scripts/archive" || return 1
  done
  run scripts/archive ''
  fails_with 2 "is empty"
  for arguments in nowhere v1:names --all; do
    run scripts/archive -- "$arguments"
    fails_with 1 "scripts/archive" || return 1
  done
  [[ ! -e build ]]
}
