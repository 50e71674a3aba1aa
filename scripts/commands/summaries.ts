/** What each command is for: `--help` lists them without loading the commands themselves. */
export const SUMMARIES = {
  config: "Shows how a client is set up to pull through a mirror, or sets it up.",
  verify: "Tells whether what mirrors give is what the publisher pushed.",
  inspect: "Shows what a pull of an image meets, and which of it a mirror holds.",
  warm: "Brings images into a mirror, so that later pulls are served from its store.",
  mirrors: "Measures public mirrors and ranks them.",
  doctor: "Looks for what is wrong with a mirror, and says what to do.",
  copy: "Copies an image between registries, OCI layouts, archives and Docker; digests stay what they are.",
  save: "Writes images, pulled through a mirror, as one file for docker load and skopeo.",
  sync: "Copies all images that a list names. Images that are up to date are skipped, so that it can be repeated at any time.",
  key: "Makes, lists and ends the access keys of a mirror.",
  install: "Makes the mirror a service of this machine: a systemd unit with a user and rights of its own.",
  uninstall: "Takes back what install wrote.",
  deploy: "Deploys the mirror to Cloudflare, for the holders of access keys.",
} as const;
