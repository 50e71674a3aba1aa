/** GitHub Actions: the builder that docker/setup-buildx-action makes. */
import { isOnThisMachine } from "../addresses.ts";
import { type Guide, type GuideRequest, yaml } from "../guide.ts";
import { USER } from "../key.ts";
import { buildkitdToml } from "./buildkit.ts";

// biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub puts the secret there, not this program.
const SECRET = "${{ secrets.PORTOLAN_KEY }}";

export function buildxAction(request: GuideRequest): Guide {
  const { file, hosts, notes } = buildkitdToml(request);
  const logins = hosts.map((registry) => ({
    uses: "docker/login-action@v3",
    with: { registry, username: USER, password: SECRET },
  }));
  const setup = { uses: "docker/setup-buildx-action@v3", with: { "buildkitd-config-inline": file.content } };
  const build = { uses: "docker/build-push-action@v6", with: { context: "." } };
  const steps = [{ uses: "actions/checkout@v4" }, ...(request.key === null ? [] : logins), setup, build];
  return {
    title: "GitHub Actions with buildx",
    steps: [
      ...(request.key === null
        ? []
        : [
            {
              text: "Add the mirror's key to the repository's secrets as `PORTOLAN_KEY` (Settings, Secrets and variables, Actions).",
            },
          ]),
      {
        text: "Configure the builder's mirrors in the workflow.",
        file: yaml(".github/workflows/build.yml", {
          name: "build",
          on: ["push"],
          jobs: { build: { "runs-on": "ubuntu-latest", steps } },
        }),
      },
    ],
    notes: [
      ...notes,
      ...(isOnThisMachine(request)
        ? [
            "GitHub-hosted runners can't reach a mirror on your machine: use a deployed mirror, or a self-hosted runner on that machine.",
          ]
        : []),
    ],
  };
}
