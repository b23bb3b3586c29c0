// Reads a JSON object of documents by name, writes what html-validate finds wrong in each.
const { HtmlValidate } = require("html-validate");

const validator = new HtmlValidate({
  root: true,
  extends: ["html-validate:standard", "html-validate:a11y"],
  rules: {
    // Mail programs know styles in tags, and attributes of old that browsers have left behind.
    "no-inline-style": "off",
    "no-deprecated-attr": "off",
    "no-conditional-comment": "off",
    // What stands between Jinja's blocks leaves spaces.
    "no-trailing-whitespace": "off",
    "tel-non-breaking": "off",
    "long-title": "off",
  },
});

(async () => {
  const documents = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const found = {};
  for (const [name, html] of Object.entries(documents)) {
    const report = await validator.validateString(html);
    const messages = report.results.flatMap((result) => result.messages);
    if (messages.length) {
      found[name] = messages.map((m) => `${m.line}: ${m.ruleId}: ${m.message}`);
    }
  }
  process.stdout.write(JSON.stringify(found));
})();
