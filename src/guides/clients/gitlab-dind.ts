/** GitLab CI: the Docker in Docker that a job starts as its service. */

import { loopbackNotes } from "../containers.ts";
import { dockerMirror } from "../docker-mirror.ts";
import { type Guide, type GuideRequest, toml, yaml } from "../guide.ts";

export function gitlabDind(request: GuideRequest): Guide {
  const { url, notes } = dockerMirror(request);
  const command = ["--registry-mirror", url];
  return {
    title: "GitLab CI with Docker in Docker",
    steps: [
      {
        text: "Configure the service's mirror in the pipeline.",
        file: yaml(".gitlab-ci.yml", {
          build: {
            image: "docker:cli",
            services: [{ name: "docker:dind", command }],
            script: ["docker build ."],
          },
        }),
      },
      {
        text: "Or for all jobs of your own runner, in its configuration.",
        file: toml("/etc/gitlab-runner/config.toml", {
          runners: [{ docker: { services: [{ name: "docker:dind", command }] } }],
        }),
      },
    ],
    notes: [
      ...notes,
      "The job's own image is pulled by the runner, not by the service: configure the Docker or containerd that the runner uses too.",
      ...loopbackNotes(request),
      ...(request.key === null
        ? []
        : ["Put the URL into a masked CI/CD variable, and use the variable instead."]),
    ],
  };
}
