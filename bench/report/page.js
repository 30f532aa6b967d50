// A link to a raw row opens what folds the row away; without scripts the browser's own search does.
function unfold() {
  const row = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!row) return;
  for (let at = row.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  row.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", unfold);
if (document.getElementById(location.hash.slice(1))?.closest("details")) unfold();
