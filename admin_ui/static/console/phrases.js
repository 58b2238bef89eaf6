// The API speaks English; where the page's language has its sentence, that is shown.

let book = null;

async function load() {
  try {
    const answer = await fetch("/admin/phrases", { headers: { Accept: "application/json" } });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function said({ exact, patterns, nested }, english) {
  if (Object.hasOwn(exact, english)) return exact[english];
  for (const [pattern, words] of patterns) {
    const values = new RegExp(`^${pattern}$`, "s").exec(english)?.groups;
    if (values) {
      return words.replace(/\{(\w+)\}/g, (_, name) => (nested.includes(name) ? said({ exact, patterns, nested }, values[name]) : values[name]));
    }
  }
  return english;
}

export async function inPageLanguage(english) {
  if (document.documentElement.lang === "en" || english.length > 1000) return english;
  book ??= await load();
  return book ? said(book, english) : english;
}
