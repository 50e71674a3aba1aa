/** Everything that the pages say, in English. `zh.ts` has the same in Chinese; a text that is missing there is a compile error. */
export const en = {
  language: "en",
  title: "Portolan, a mirror of container registries",
  skip: "Skip to the content",
  menu: {
    label: "Pages",
    start: "Start",
    search: "Search",
    status: "Status",
    language: "Language",
    light: "Light theme",
    dark: "Dark theme",
  },
  copy: "Copy",
  copied: "Copied",
  start: {
    what: (owner: string | null) =>
      owner === null
        ? "A private mirror of container registries. It pulls each image once, checks it against its digest, and serves it from here."
        : `${owner}’s mirror of container registries. It pulls each image once, checks it against its digest, and serves it from here.`,
    tryIt: "Put the mirror’s name before the image’s:",
    open: "Anyone who can reach it may pull.",
    keyed: "Pulling takes an access key, which its owner gives out.",
    closed:
      "It is closed: it has no access keys yet. Its owner makes the first one with `npm run portolan -- key add NAME`.",
    contact: "Contact",
  },
  convert: {
    heading: "Get an image through this mirror",
    lead: "Paste what you have: an image’s name, a page of Docker Hub or another registry, a docker command, a Dockerfile, a compose file, a Kubernetes manifest or Helm values. It is read in your browser and sent nowhere.",
    label: "Images to pull",
    examples: "Examples",
    example: { name: "A name", command: "A command", compose: "A compose file", dockerfile: "A Dockerfile" },
    none: "No image was found in this text.",
    tooLong: "This text is too long.",
    found: (count: number) => (count === 1 ? "1 image" : `${count} images`),
    from: "Image",
    to: "Here",
    inspect: "Look inside",
    notServed: "not served here",
    already: "comes from here already",
    whole: "The whole text, with this mirror’s names",
    noScript:
      "This part needs JavaScript. By hand: write the mirror’s name and the registry before the image’s name.",
  },
  key: {
    label: "Your access key",
    hint: "It is filled into the commands on this page, in your browser, and never sent.",
    invalid: "A key has 32 letters and digits, a–z and 2–7.",
  },
  clients: {
    heading: "Configure a client",
    lead: "With its mirror configured, a client pulls images by their usual names.",
    label: "Client",
    show: "Show",
    file: "File",
    notes: "Good to know",
    originalLanguage: "",
  },
  footer: {
    not: "This isn’t a registry, and isn’t affiliated with any of those that it mirrors. Images belong to their publishers.",
    software: "Runs on Portolan",
  },
};

export type Texts = typeof en;
