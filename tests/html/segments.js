// Reads a JSON list of texts, writes what Twilio's calculator makes of each.
const { SegmentedMessage } = require("sms-segments-calculator");

const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const counted = texts.map((text) => {
  const message = new SegmentedMessage(text);
  return [message.getEncodingName(), message.segmentsCount];
});
process.stdout.write(JSON.stringify(counted));
